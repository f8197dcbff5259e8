package transport

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// Kinds of frames. They are on the wire: permanent and append-only. A receiver
// skips an optional frame (64 to 127) of a kind that it does not know. Any other
// unknown kind ends the connection.
const (
	kindHello  = 1
	kindRefuse = 2
	kindReady  = 3
	kindCall   = 4
	kindCast   = 5
	kindReply  = 6
	kindError  = 7
	kindAcks   = 8
	kindCancel = 9
	kindPing   = 10
	kindPong   = 11
	kindOpen   = 12
	kindData   = 13
	kindCredit = 14
	kindClose  = 15

	firstOptional = 64 // to 127
	kindAsk       = 64
	kindWhy       = 65
)

// MaxTrace is the largest length of Request.Trace in bytes.
const MaxTrace = 1 << 10

// MaxOnce is the largest length of Request.Once in bytes.
const MaxOnce = 64

// tagOnce is the tag of a critical extension of a request: Request.Once.
const tagOnce = 1

const (
	maxText    = 4 << 10       // bytes of an error's text
	maxHead    = 4 + 3 + 2 + 9 // bytes: length, array of 16 bits, kind, number
	maxAcks    = 1024          // numbers in one frame
	headerRoom = 64            // bounds what a frame has beside the bytes of its fields
)

var (
	errTooShort  = errors.New("frame has too few elements")
	errTrailing  = errors.New("frame has bytes behind its elements")
	errExtension = errors.New("extension is not [critical, tag, value]")
)

// A frame is a frame being decoded. r stands behind the number, and elements
// counts the elements that follow.
type frame struct {
	kind     uint64
	number   uint64
	elements int
	r        wire.Reader
}

// parse reads the kind and the number. body is the frame without its length.
func (f *frame) parse(body []byte) error {
	f.r = wire.NewReader(body)
	f.elements = f.r.ArrayLen() - 2
	f.kind = f.r.Uint()
	f.number = f.r.Uint()
	if f.elements < 0 && f.r.Err() == nil {
		return errTooShort
	}
	return f.r.Err()
}

// peekFrame reads the kind and the number from the first bytes of a frame that
// has not been read yet.
func peekFrame(start []byte) (kind, number uint64, err error) {
	if len(start) > 0 { // skip the array header: the reader would check that all elements are there
		switch {
		case start[0]&0xf0 == 0x90:
			start = start[1:]
		case start[0] == 0xdc && len(start) > 3:
			start = start[3:]
		}
	}
	r := wire.NewReader(start)
	kind, number = r.Uint(), r.Uint()
	return kind, number, r.Err()
}

// end reads the extensions behind the known elements and reports whether one of
// them was critical. Only requests have extensions that this version knows.
func (f *frame) end(known int) (critical bool, err error) { return f.endWith(known, nil) }

// endWith is end for a request: once, if it is not nil, gets the value of tagOnce.
func (f *frame) endWith(known int, once *[]byte) (critical bool, err error) {
	if f.elements != known {
		if critical, err = f.extensions(known, once); err != nil {
			return false, err
		}
	}
	if err := f.r.Err(); err != nil {
		return false, err
	}
	if f.r.Len() != 0 {
		return false, errTrailing
	}
	return critical, nil
}

// extensions reads the elements behind the known ones.
func (f *frame) extensions(known int, once *[]byte) (critical bool, err error) {
	if f.elements < known {
		return false, errTooShort
	}
	for range f.elements - known {
		if f.r.ArrayLen() != 3 {
			return false, errExtension
		}
		refuses, tag := f.r.Bool(), f.r.Uint()
		if once != nil && tag == tagOnce {
			*once = f.r.Bytes()
			continue
		}
		critical = refuses || critical
		f.r.Skip()
	}
	return critical, nil
}

// endPlain is like end, for frames of which nothing can be refused alone: a
// critical extension is an error.
func (f *frame) endPlain(known int) error {
	critical, err := f.end(known)
	if err == nil && critical {
		err = fmt.Errorf("critical extension in a frame of kind %d", f.kind)
	}
	return err
}

// beginFrame appends room for the length and the head of a frame. elements is
// how many elements follow kind and number, at most 13.
func beginFrame(b []byte, kind byte, number uint64, elements byte) []byte {
	return wire.AppendUint(append(b, 0, 0, 0, 0, 0x90|(elements+2), kind), number)
}

// endFrame sets the length of the frame that begins at b[at].
func endFrame(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

func appendEmpty(b []byte, kind byte, number uint64) []byte {
	return endFrame(beginFrame(b, kind, number, 0), len(b))
}

func appendReply(b []byte, number uint64, flags uint32, payload []byte) []byte {
	at := len(b)
	b = beginFrame(b, kindReply, number, 2)
	b = wire.AppendUint(b, uint64(flags))
	b = wire.AppendBytes(b, payload)
	return endFrame(b, at)
}

func appendError(b []byte, number uint64, code uint32, text string, detail []byte) []byte {
	at := len(b)
	b = beginFrame(b, kindError, number, 3)
	b = wire.AppendUint(b, uint64(code))
	b = wire.AppendString(b, text)
	b = wire.AppendBytes(b, detail)
	return endFrame(b, at)
}

// appendAcks appends a frame that acknowledges numbers, at most maxAcks.
func appendAcks(b []byte, numbers []uint64) []byte {
	at := len(b)
	b = beginFrame(b, kindAcks, 0, 1)
	b = wire.AppendArrayLen(b, len(numbers))
	for _, v := range numbers {
		b = wire.AppendUint(b, v)
	}
	return endFrame(b, at)
}

func appendOpen(b []byte, number uint64, header []byte) []byte {
	at := len(b)
	return endFrame(wire.AppendBytes(beginFrame(b, kindOpen, number, 1), header), at)
}

func appendData(b []byte, number uint64, chunk []byte) []byte {
	at := len(b)
	return endFrame(wire.AppendBytes(beginFrame(b, kindData, number, 1), chunk), at)
}

func appendCredit(b []byte, number, bytes uint64) []byte {
	at := len(b)
	return endFrame(wire.AppendUint(beginFrame(b, kindCredit, number, 1), bytes), at)
}

func appendClose(b []byte, number uint64, abort bool, text string) []byte {
	at := len(b)
	b = wire.AppendBool(beginFrame(b, kindClose, number, 2), abort)
	return endFrame(wire.AppendString(b, text), at)
}
