package standby

import (
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// Kinds of frames. They are on the wire: permanent and append-only. A receiver skips an optional
// frame (64 to 127) of a kind that it does not know. Any other unknown kind ends the stream.
const (
	kindRecord  = 1
	kindPiece   = 2
	kindDiscard = 3
	kindBury    = 4
	kindAnswers = 5

	firstOptional = 64 // to 127
)

// Forms on the wire, permanent and append-only.
const (
	formRunning = 0
	formEnded   = 1
)

// Verdicts on the wire, permanent and append-only. A verdict that a node does not know is Fenced.
const (
	verdictFenced  = 0
	verdictTaken   = 1
	verdictCleared = 2
	verdictLater   = 3
	verdictNoRoom  = 4
	verdictUnseen  = 5
)

const (
	release  = 1        // of the format, in the header of a stream
	maxHead  = 16 << 10 // bytes of a record beside its body
	headRoom = 128      // bounds what a frame has beside the bytes of its fields
	nameRoom = 5        // bounds what one of the names in hold has beside its bytes
	maxPiece = transport.MaxChunk - headRoom
	maxLanes = 8 // large records on one stream at a time

	maxExceptions = 2048 // in one frame of answers; each takes at most 21 bytes
)

// A said is one thing that a member is told.
type said struct {
	session   string
	partition int
	say       ownership.Say
	record    Record
}

// head bounds the bytes of the frame of s beside its body.
func (s *said) head() int {
	n := headRoom + len(s.session) + len(s.record.Kind) + len(s.record.Version) + len(s.record.Life)
	for _, name := range s.say.Hold {
		n += nameRoom + len(name)
	}
	return n
}

// append appends the frame of s. The last bytes of its body are rest; those before it went in
// pieces on lane, or lane is 0 and rest is the body.
func (s *said) append(b []byte, number, lane uint64, rest []byte) []byte {
	switch s.say.What {
	case ownership.ToKeep:
		b = wire.AppendUint(wire.AppendArrayLen(b, 13), kindRecord)
	case ownership.ToDiscard:
		b = wire.AppendUint(wire.AppendArrayLen(b, 7), kindDiscard)
	default:
		b = wire.AppendUint(wire.AppendArrayLen(b, 7), kindBury)
	}
	b = wire.AppendUint(b, number)
	b = wire.AppendUint(b, uint64(s.partition))
	b = wire.AppendUint(wire.AppendUint(b, s.say.Stamp.Claim), s.say.Stamp.Promise)
	b = wire.AppendString(b, s.session)
	b = wire.AppendBytes(b, s.record.Version)
	if s.say.What != ownership.ToKeep {
		return b
	}
	b = wire.AppendString(b, s.record.Kind)
	form := uint64(formRunning)
	if s.record.Form == ownership.Ended {
		form = formEnded
	}
	b = wire.AppendBytes(wire.AppendUint(b, form), s.record.Life)
	b = wire.AppendArrayLen(b, len(s.say.Hold))
	for _, name := range s.say.Hold {
		b = wire.AppendString(b, name)
	}
	return wire.AppendBytes(wire.AppendUint(b, lane), rest)
}

// appendPiece appends the next bytes of a body of size bytes.
func appendPiece(b []byte, lane uint64, size int, piece []byte) []byte {
	b = wire.AppendUint(wire.AppendArrayLen(b, 4), kindPiece)
	b = wire.AppendUint(b, lane)
	return wire.AppendBytes(wire.AppendUint(b, uint64(size)), piece)
}

func appendHeader(b []byte, from, to string) []byte {
	b = wire.AppendUint(wire.AppendArrayLen(b, 3), release)
	return wire.AppendString(wire.AppendString(b, from), to)
}

// A frame is a decoded frame for the keeper of standbys. Its slices share memory with its chunk.
type frame struct {
	kind    uint64
	number  uint64 // of what is said, or the lane of a piece
	heard   Heard  // of a piece only Body
	lane    uint64
	size    uint64 // of a piece: of the whole body
	unknown bool   // a part of it has a meaning that this node does not know
}

// A decoder reads the frames of one stream. It keeps the names of kinds and of members, which
// come again and again.
type decoder struct {
	names map[string]string
	hold  []string // of the last record
}

const maxNames = 1024 // that a decoder keeps

func (d *decoder) name(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	if d.names == nil || len(d.names) == maxNames {
		d.names = map[string]string{}
	}
	s := string(b)
	d.names[s] = s
	return s
}

var errExtension = errors.New("extension is not [critical, tag, value]")

// next reads a frame into f. The hold of f is valid until the next call.
func (d *decoder) next(r *wire.Reader, f *frame) error {
	*f = frame{}
	elements := r.ArrayLen()
	f.kind = r.Uint()
	known := 7
	switch {
	case f.kind == kindRecord:
		known = 13
		f.heard.What = ownership.ToKeep
	case f.kind == kindDiscard:
		f.heard.What = ownership.ToDiscard
	case f.kind == kindBury:
		f.heard.What = ownership.ToBury
	case f.kind == kindPiece:
		f.number, f.size, f.heard.Record.Body = r.Uint(), r.Uint(), r.Bytes()
		return f.end(r, elements, 4)
	case f.kind >= firstOptional && f.kind < 2*firstOptional:
		for ; elements > 1 && r.Err() == nil; elements-- {
			r.Skip()
		}
		return r.Err()
	case r.Err() == nil:
		return fmt.Errorf("frame of kind %d", f.kind)
	}
	f.number = r.Uint()
	partition := r.Uint32()
	f.heard.Partition = int(partition)
	f.heard.Stamp = ownership.Stamp{Claim: r.Uint(), Promise: r.Uint()}
	f.heard.Session, f.heard.Record.Version = string(r.Str()), r.Bytes()
	if f.kind == kindRecord {
		d.rest(r, f)
	}
	return f.end(r, elements, known)
}

// rest reads what only a record has.
func (d *decoder) rest(r *wire.Reader, f *frame) {
	f.heard.Record.Kind = d.name(r.Str())
	switch r.Uint() {
	case formRunning:
		f.heard.Record.Form = ownership.Running
	case formEnded:
		f.heard.Record.Form = ownership.Ended
	default:
		f.unknown = true
	}
	f.heard.Record.Life = r.Bytes()
	d.hold = d.hold[:0]
	for n := r.ArrayLen(); n > 0 && r.Err() == nil; n-- {
		d.hold = append(d.hold, d.name(r.Str()))
	}
	f.heard.Hold = d.hold
	f.lane, f.heard.Record.Body = r.Uint(), r.Bytes()
}

// end reads the extensions behind the known elements. This version knows none.
func (f *frame) end(r *wire.Reader, elements, known int) error {
	critical, err := extensions(r, elements-known)
	f.unknown = f.unknown || critical
	return err
}

func extensions(r *wire.Reader, n int) (critical bool, err error) {
	if n < 0 && r.Err() == nil {
		return false, errors.New("frame has too few elements")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		if r.ArrayLen() != 3 && r.Err() == nil {
			return false, errExtension
		}
		critical = r.Bool() || critical
		_ = r.Uint()
		r.Skip()
	}
	return critical, r.Err()
}

// An exception is an answer that is not the one expected.
type exception struct {
	number  uint64
	verdict ownership.Verdict
	stamp   uint64 // of the receiver, if the verdict is Fenced
}

// usual returns the answer that needs no exception.
func usual(what ownership.What) ownership.Verdict {
	if what == ownership.ToKeep {
		return ownership.Taken
	}
	return ownership.Cleared
}

// appendAnswers appends the answers to all that was said up to a number. Exceptions are in
// the order of their numbers, which the last answers did not reach.
func appendAnswers(b []byte, upTo uint64, exceptions []exception) []byte {
	b = wire.AppendUint(wire.AppendArrayLen(b, 3), kindAnswers)
	b = wire.AppendUint(b, upTo)
	b = wire.AppendArrayLen(b, len(exceptions))
	for _, e := range exceptions {
		if e.verdict == ownership.Fenced {
			b = wire.AppendUint(wire.AppendArrayLen(b, 3), e.number)
			b = wire.AppendUint(wire.AppendUint(b, verdictFenced), e.stamp)
			continue
		}
		b = wire.AppendUint(wire.AppendArrayLen(b, 2), e.number)
		b = wire.AppendUint(b, wireVerdict(e.verdict))
	}
	return b
}

// readException reads what appendAnswers has appended, and skips elements behind it. A verdict
// that this node does not know is Fenced, under the stamp 0: it refuses, and says nothing new.
func readException(r *wire.Reader) (e exception, err error) {
	n := r.ArrayLen()
	e.number = r.Uint()
	v := r.Uint()
	e.verdict = verdictOf(v)
	known := 2
	if v == verdictFenced {
		known, e.stamp = 3, r.Uint()
	}
	if n < known && r.Err() == nil {
		return e, errors.New("exception has too few elements")
	}
	for ; n > known && r.Err() == nil; n-- {
		r.Skip()
	}
	return e, r.Err()
}

func wireVerdict(v ownership.Verdict) uint64 {
	switch v {
	case ownership.Taken:
		return verdictTaken
	case ownership.Cleared:
		return verdictCleared
	case ownership.Later:
		return verdictLater
	case ownership.NoRoom:
		return verdictNoRoom
	case ownership.Unseen:
		return verdictUnseen
	}
	return verdictFenced
}

func verdictOf(v uint64) ownership.Verdict {
	switch v {
	case verdictTaken:
		return ownership.Taken
	case verdictCleared:
		return ownership.Cleared
	case verdictLater:
		return ownership.Later
	case verdictNoRoom:
		return ownership.NoRoom
	case verdictUnseen:
		return ownership.Unseen
	}
	return ownership.Fenced
}

// readAnswers reads one frame of answers, which may follow others. list is reused. ok is false
// for an optional frame, which says nothing.
func readAnswers(r *wire.Reader, list []exception) (upTo uint64, _ []exception, ok bool, err error) {
	elements := r.ArrayLen()
	kind := r.Uint()
	switch {
	case r.Err() != nil:
		return 0, nil, false, r.Err()
	case kind >= firstOptional && kind < 2*firstOptional:
		for ; elements > 1 && r.Err() == nil; elements-- {
			r.Skip()
		}
		return 0, list, false, r.Err()
	case kind != kindAnswers:
		return 0, nil, false, fmt.Errorf("frame of kind %d", kind)
	}
	upTo = r.Uint()
	for n := r.ArrayLen(); n > 0 && r.Err() == nil; n-- {
		e, err := readException(r)
		if err != nil {
			return 0, nil, false, err
		}
		list = append(list, e)
	}
	critical, err := extensions(r, elements-3)
	if critical && err == nil {
		err = errors.New("answers have a critical element that this node does not know")
	}
	return upTo, list, true, err
}
