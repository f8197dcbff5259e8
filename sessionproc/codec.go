package sessionproc

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// codec moves values of one type between goroutines that must not share
// memory, and over the wire.
type codec[T any] struct {
	mode    copyMode
	raw     bool      // T is []byte: it is its own encoding
	open    bool      // see nesting
	size    int       // bytes of T itself
	strings []uintptr // offsets of strings in a plain T, for its size
}

type copyMode uint8

const (
	copyPlain   copyMode = iota // numbers, bools, strings, arrays and structs of these: assignment copies
	copyBytes                   // []byte
	copyClone                   // T has Clone() T
	copyMsgpack                 // encode and decode
)

type cloner[T any] interface{ Clone() T }

func newCodec[T any]() codec[T] {
	t := reflect.TypeFor[T]()
	c := codec[T]{mode: copyMsgpack, size: int(t.Size()), open: nestingOf(t).open}
	var zero T
	switch _, clones := any(zero).(cloner[T]); {
	case t == reflect.TypeFor[[]byte]():
		c.mode, c.raw = copyBytes, true
	case plain(t, 0, &c.strings):
		c.mode = copyPlain
	case clones && t.Kind() != reflect.Interface:
		c.mode = copyClone
	}
	return c
}

// plain reports whether assignment copies a t wholly, and collects the offsets
// of the strings in it. Arrays of strings are not plain: their offsets could be
// many.
func plain(t reflect.Type, at uintptr, strings *[]uintptr) bool {
	switch k := t.Kind(); k {
	case reflect.String:
		*strings = append(*strings, at)
		return true
	case reflect.Array:
		var inside []uintptr
		return plain(t.Elem(), 0, &inside) && len(inside) == 0
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); !plain(f.Type, at+f.Offset, strings) {
				return false
			}
		}
		return true
	default:
		return reflect.Bool <= k && k <= reflect.Complex128 && k != reflect.Uintptr
	}
}

// weight returns the bytes that a plain or cloned *v is counted with in a
// mailbox.
func (c *codec[T]) weight(v *T) int {
	n := c.size
	for _, at := range c.strings {
		n += len(*(*string)(unsafe.Add(unsafe.Pointer(v), at)))
	}
	if c.raw {
		n += len(*(*[]byte)(unsafe.Pointer(v)))
	}
	return n
}

// parcel is a value on its way to another goroutine.
type parcel[T any] struct {
	form  parcelForm
	clone T // unpacked, the receiver's
	buf   []byte
}

type parcelForm uint8

const (
	parcelEmpty  parcelForm = iota // the value itself goes
	parcelCloned                   // clone is it
	parcelCoded                    // buf is its encoding
)

// pack puts what the other goroutine may have of *v into p, and returns the
// bytes that it is counted with. share: both sides agree to share memory.
func (c *codec[T]) pack(p *parcel[T], v *T, share bool) (size int32, err error) {
	n := c.weight(v)
	switch {
	case c.mode == copyPlain || share:
		p.form = parcelEmpty
	case c.mode == copyBytes:
		b := copyOf(*(*[]byte)(unsafe.Pointer(v)))
		p.form, p.clone = parcelCloned, *(*T)(unsafe.Pointer(&b))
	case c.mode == copyClone:
		p.form, p.clone = parcelCloned, any(*v).(cloner[T]).Clone()
	default:
		if p.buf, err = c.msgpack(p.buf[:0], v); err != nil {
			return 0, badRequest{err}
		}
		p.form = parcelCoded
		n += len(p.buf)
	}
	return mailSize(n), nil
}

// packRequest is pack in the caller's goroutine. A panic of the type's own methods
// becomes an error.
func (c *codec[T]) packRequest(p *parcel[T], v *T, share bool) (size int32, err error) {
	if c.mode != copyPlain {
		defer contain(&err)
	}
	return c.pack(p, v, share)
}

// contain makes an error of a panic of a request's own encoding or Clone.
func contain(err *error) {
	if cause := recover(); cause != nil {
		*err = badRequest{panicked("encoding", cause)}
	}
}

// mailSize is a number of bytes as a mailbox counts them.
func mailSize(n int) int32 { return int32(min(n, math.MaxInt32)) }

// unpack returns the value in p, unless it is empty: then own is the value. It
// is called once, by the receiver.
func (p *parcel[T]) unpack(own *T) (*T, error) {
	switch p.form {
	case parcelCloned:
		return &p.clone, nil
	case parcelCoded:
		var none T
		p.clone = none
		return &p.clone, decode(p.buf, &p.clone)
	}
	return own, nil
}

// clear makes a pooled message forget a value, unless that refers to nothing.
func (c *codec[T]) clear(v *T, p *parcel[T]) {
	if c.mode == copyPlain && len(c.strings) == 0 {
		return
	}
	var none T
	*v = none
	p.form, p.clone = parcelEmpty, none
	if cap(p.buf) > maxPooled {
		p.buf = nil
	}
}

// encode appends *v to b in the form it has on the wire. v is on the heap.
func (c *codec[T]) encode(b []byte, v *T) ([]byte, error) {
	if c.raw {
		return append(b, *(*[]byte)(unsafe.Pointer(v))...), nil
	}
	return c.msgpack(b, v)
}

func (c *codec[T]) msgpack(b []byte, v *T) ([]byte, error) {
	if c.open {
		return encodeOpen(b, v)
	}
	return encode(b, v)
}

// encodeRequest is encode in the caller's goroutine. A panic of the type's own
// encoding becomes an error.
func (c *codec[T]) encodeRequest(b []byte, v *T) (_ []byte, raw bool, err error) {
	if !c.raw {
		defer contain(&err)
	}
	if b, err = c.encode(b, v); err != nil {
		return nil, false, badRequest{err}
	}
	return b, c.raw, nil
}

// encodeLocal is encode for a local variable, which it keeps off the heap if it
// can.
func (c *codec[T]) encodeLocal(b []byte, v T) ([]byte, error) {
	if c.raw {
		return append(b, *(*[]byte)(unsafe.Pointer(&v))...), nil
	}
	boxed := new(T)
	*boxed = v
	return c.msgpack(b, boxed)
}

// decode reads a foreign encoding: every byte is checked before it is decoded.
func (c *codec[T]) decode(b []byte, raw bool, v *T) error {
	if c.raw {
		return decodeRaw(b, raw, (*[]byte)(unsafe.Pointer(v)))
	}
	if raw {
		return fmt.Errorf("raw bytes where %v is expected", reflect.TypeFor[T]())
	}
	boxed := new(T) // so that *v need not be on the heap
	err := DecodeForeign(b, boxed)
	*v = *boxed
	return err
}

// copyOf makes nil of an empty slice, as on the wire both are the same.
func copyOf(b []byte) []byte { return append([]byte(nil), b...) }

func decodeRaw(b []byte, raw bool, v *[]byte) error {
	switch {
	case raw:
		*v = copyOf(b)
	case len(b) == 1 && b[0] == 0xc0: // an untyped nil
		*v = nil
	default:
		return errors.New("msgpack where raw bytes are expected")
	}
	return nil
}

// panicked is the error of a panic in a user's method. It says where that was, and of
// its value the type only, as it may be read anywhere.
func panicked(what string, cause any) error {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for thrown := false; ; {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			thrown = true
		case thrown && !strings.HasPrefix(f.Function, "runtime.") && !strings.HasPrefix(f.Function, "internal/"):
			return fmt.Errorf("%s panicked: %T in %s (%s:%d)", what, cause, f.Function, filepath.Base(f.File), f.Line)
		}
		if !more {
			return fmt.Errorf("%s panicked: %T", what, cause)
		}
	}
}

// decoder is a pooled msgpack decoder over a slice.
type decoder struct {
	dec *msgpack.Decoder
	r   bytes.Reader
}

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.dec = msgpack.NewDecoder(&d.r)
	return d
}}

// maxPooled is the largest message, in bytes, after which a codec's scratch
// memory is kept.
const maxPooled = 64 << 10

// decode reads the msgpack value b, known to be well formed, into v, which must
// point to a zero value. A panic of the type's own decoding becomes an error.
func decode(b []byte, v any) error { return decodeFields(b, v, false) }

// decodeKnown is decode, but a field that v does not have is an error.
func decodeKnown(b []byte, v any) error { return decodeFields(b, v, true) }

func decodeFields(b []byte, v any, knownOnly bool) (err error) {
	d := decoders.Get().(*decoder)
	defer func() {
		if cause := recover(); cause != nil {
			err = panicked("decoding", cause)
		}
	}()
	d.r.Reset(b)
	d.dec.Reset(&d.r)
	d.dec.DisallowUnknownFields(knownOnly)
	if err = d.dec.Decode(v); err == nil && len(b) <= maxPooled {
		d.r.Reset(nil)
		decoders.Put(d)
	}
	return userError(err)
}

// EncodeValue appends v to b as it travels: []byte as it is, with raw true, all
// else as msgpack, structs as maps by field name. It serves package node.
func EncodeValue(b []byte, v any) (payload []byte, raw bool, err error) {
	if p, ok := v.([]byte); ok {
		return append(b, p...), true, nil
	}
	payload, err = encodeAny(b, v)
	return payload, false, err
}

// DecodeValue reads what EncodeValue made, from bytes of any origin, into the
// value that v points to. It serves package node.
func DecodeValue(b []byte, raw bool, v any) error {
	if !raw {
		return DecodeForeign(b, v)
	}
	p, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("raw bytes do not decode into %T", v)
	}
	*p = bytes.Clone(b)
	return nil
}

// DecodeForeign reads msgpack of any origin into the value that v points to.
// The bytes are checked before msgpack sees them (see wire.Check), so that no
// input makes it allocate more than a small multiple of its length.
func DecodeForeign(b []byte, v any) error {
	if err := wire.Check(b); err != nil {
		return err
	}
	return decode(b, v)
}
