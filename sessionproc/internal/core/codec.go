package core

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// Codec moves values of one type between goroutines that must not share
// memory, and over the wire.
type Codec[T any] struct {
	mode    copyMode
	Simple  bool      // nothing is to be done with a value that is on its way or has been used
	Raw     bool      // T is []byte: it is its own encoding
	open    bool      // see nesting
	behind  bool      // see settling, as the next two
	fixes   []fix     // of what is not encoded
	strings []uintptr // in a plain T
	times   *times
	Size    int // bytes of T itself
	clone   func(*T) T
}

type copyMode uint8

const (
	copyPlain   copyMode = iota // numbers, bools, strings, arrays and structs of these, and times: assignment copies
	copyBytes                   // []byte
	copyClone                   // T has Clone() T
	copyMsgpack                 // encode and decode
)

// NewCodec returns the codec of T.
func NewCodec[T any]() Codec[T] {
	t := reflect.TypeFor[T]()
	s := settlingOf(t)
	c := Codec[T]{mode: copyMsgpack, Size: int(t.Size()), open: learn(t).open, times: timesOf(t)}
	c.behind, c.fixes = s.behind, s.fixes
	clone := cloneOf[T]()
	switch {
	case t == reflect.TypeFor[[]byte]():
		c.mode, c.Raw = copyBytes, true
	case s.plain:
		c.mode, c.strings = copyPlain, s.strings
	case clone != nil && !s.behind:
		c.mode, c.clone = copyClone, clone
	}
	c.Simple = c.mode == copyPlain && c.strings == nil && c.fixes == nil
	return c
}

// cloneOf returns what calls the method Clone of a T or of a *T; nil: there is none.
// What is nil stays nil.
func cloneOf[T any]() func(*T) T {
	var zero T
	t := reflect.TypeFor[T]()
	switch any(&zero).(type) {
	case interface{ Clone() T }:
		nilable := t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map
		return func(v *T) T {
			if nilable && *(*unsafe.Pointer)(unsafe.Pointer(v)) == nil {
				return *v
			}
			return any(v).(interface{ Clone() T }).Clone()
		}
	case interface{ Clone() *T }:
		return func(v *T) T { return *any(v).(interface{ Clone() *T }).Clone() }
	}
	return nil
}

// AsIs reports whether a value goes to a session on the same node as it is, but for
// its fixes. share: both sides agree to share memory.
func (c *Codec[T]) AsIs(share bool) bool { return c.mode == copyPlain || share && !c.behind }

// Normalize changes *v, which is not encoded, to what would arrive at another
// node.
func (c *Codec[T]) Normalize(v *T) {
	if c.fixes != nil {
		applyFixes(unsafe.Pointer(v), c.fixes)
	}
	if c.Raw && len(*(*[]byte)(unsafe.Pointer(v))) == 0 {
		*(*[]byte)(unsafe.Pointer(v)) = nil
	}
}

// Weight returns the bytes that a plain or cloned *v is counted with in a
// mailbox.
func (c *Codec[T]) Weight(v *T) int {
	n := c.Size
	for _, at := range c.strings {
		n += len(*(*string)(unsafe.Add(unsafe.Pointer(v), at)))
	}
	if c.Raw {
		n += len(*(*[]byte)(unsafe.Pointer(v)))
	}
	return n
}

// toUTC sets the times in a decoded value to UTC.
func (c *Codec[T]) toUTC(v *T) {
	if c.times != nil {
		c.times.toUTC(reflect.ValueOf(v).Elem())
	}
}

// Encode appends *v to b in the form it has on the wire, which is an error if it is more
// than most bytes, if that is not 0. v is on the heap.
func (c *Codec[T]) Encode(b []byte, v *T, most int) ([]byte, error) {
	if c.Raw {
		return appendRaw(b, *(*[]byte)(unsafe.Pointer(v)), most)
	}
	return c.msgpack(b, v, most)
}

func appendRaw(b, raw []byte, most int) ([]byte, error) {
	if most > 0 && len(raw) > most {
		return nil, TooLarge(len(raw), most)
	}
	return append(b, raw...), nil
}

func (c *Codec[T]) msgpack(b []byte, v *T, most int) (_ []byte, err error) {
	if c.open {
		b, err = encodeOpen(b, v, most)
	} else {
		b, err = Encode(b, v, most)
	}
	return b, enough(err, most)
}

// EncodeRequest is encode in the caller's goroutine. A panic of the type's own
// encoding becomes an error.
func (c *Codec[T]) EncodeRequest(b []byte, v *T, most int) (_ []byte, raw bool, err error) {
	if !c.Raw {
		defer Contain(&err)
	}
	if b, err = c.Encode(b, v, most); err != nil {
		return nil, false, BadRequest(err)
	}
	return b, c.Raw, nil
}

// EncodeLocal is encode for a local variable, which it keeps off the heap if it
// can.
func (c *Codec[T]) EncodeLocal(b []byte, v T, most int) ([]byte, error) {
	if c.Raw {
		return appendRaw(b, *(*[]byte)(unsafe.Pointer(&v)), most)
	}
	boxed := new(T)
	*boxed = v
	return c.msgpack(b, boxed, most)
}

// Decode reads a foreign encoding: every byte is checked before it is decoded.
func (c *Codec[T]) Decode(b []byte, raw bool, v *T) error {
	if c.Raw {
		return decodeRaw(b, raw, (*[]byte)(unsafe.Pointer(v)))
	}
	if raw {
		return fmt.Errorf("raw bytes where %v is expected", reflect.TypeFor[T]())
	}
	boxed := new(T) // so that *v need not be on the heap
	err := DecodeForeign(b, boxed)
	c.toUTC(boxed)
	*v = *boxed
	return c.expecting(err)
}

// expecting adds the type to the error of a value that does not decode. The text is the
// same whether the value came from another node or not.
func (c *Codec[T]) expecting(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w, where %v is expected", err, reflect.TypeFor[T]())
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

// decode reads the msgpack value b, known to be well formed, into v, which must
// point to a zero value. A panic of the type's own decoding becomes an error.
func decode(b []byte, v any) error { return decodeFields(b, v, false) }

// decodeKnown is decode, but a field that v does not have is an error.
func decodeKnown(b []byte, v any) error { return decodeFields(b, v, true) }

func decodeFields(b []byte, v any, knownOnly bool) (err error) {
	d := decoders.Get().(*decoder)
	defer func() {
		if cause := recover(); cause != nil {
			err = Panicked("decoding", cause)
		}
	}()
	d.r.Reset(b)
	d.dec.Reset(&d.r)
	d.dec.DisallowUnknownFields(knownOnly)
	if err = d.dec.Decode(v); err == nil && len(b) <= MaxPooled {
		d.r.Reset(nil)
		decoders.Put(d)
	}
	return UserError(err)
}

// EncodeValue appends v to b as it travels: []byte as it is, with raw true, all
// else as msgpack, structs as maps by field name. It serves package node.
func EncodeValue(b []byte, v any) (payload []byte, raw bool, err error) {
	return AppendValue(b, v, 0)
}

// AppendValue is EncodeValue for at most most bytes.
func AppendValue(b []byte, v any, most int) (payload []byte, raw bool, err error) {
	if p, ok := v.([]byte); ok {
		payload, err = appendRaw(b, p, most)
		return payload, true, err
	}
	payload, err = encodeAny(b, v, most)
	return payload, false, enough(err, most)
}

// DecodeValue reads what EncodeValue made, from bytes of any origin, into the
// value that v points to. It serves package node.
func DecodeValue(b []byte, raw bool, v any) error {
	if !raw {
		if err := DecodeForeign(b, v); err != nil {
			return fmt.Errorf("%w, reading into %T", err, v)
		}
		if t := reflect.TypeOf(v); t.Kind() == reflect.Pointer { // nothing else decodes
			timesOf(t.Elem()).toUTC(reflect.ValueOf(v).Elem())
		}
		return nil
	}
	switch p := v.(type) {
	case *[]byte:
		*p = copyOf(b)
	case *any:
		*p = copyOf(b)
	default:
		return fmt.Errorf("raw bytes do not decode into %T", v)
	}
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
