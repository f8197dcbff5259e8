package core

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// encoder is a pooled msgpack encoder that appends to a slice. It stops as soon as
// that is larger than is wanted: what a value shares with itself is written as often as
// it is found, so that a small one can be without end.
type encoder struct {
	enc     *msgpack.Encoder
	buf     []byte
	most    int    // length of buf at most
	full    bool   // more was to be written
	scratch []byte // for use as buf
}

func (e *encoder) Write(p []byte) (int, error) {
	if len(p) > e.most-len(e.buf) {
		e.full = true
		return 0, ErrEnough
	}
	e.buf = append(e.buf, p...)
	return len(p), nil
}

// WriteByte spares msgpack its own wrapper of the writer.
func (e *encoder) WriteByte(c byte) error {
	if len(e.buf) >= e.most {
		e.full = true
		return ErrEnough
	}
	e.buf = append(e.buf, c)
	return nil
}

// ErrEnough is why an encoding was not finished that is larger than is wanted.
var ErrEnough = errors.New("it is larger than that")

// room is the length that a slice of n bytes may grow to by most; 0: there is no bound.
func room(n, most int) int {
	if most <= 0 || most > math.MaxInt-n {
		return math.MaxInt
	}
	return n + most
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.enc = msgpack.NewEncoder(e)
	return e
}}

// Encode appends v as msgpack to b, at most most bytes, if that is not 0; ErrEnough if
// there are more. With a nil b, what it returns has no room to spare.
func Encode(b []byte, v any, most int) ([]byte, error) {
	e := encoders.Get().(*encoder)
	exact := b == nil
	if e.buf = b; exact {
		e.buf = e.scratch[:0]
	}
	e.most = room(len(b), most)
	e.enc.Reset(e)
	e.enc.UseCompactInts(true)
	err := e.enc.Encode(v)
	b, e.buf = e.buf, nil
	switch { // the encoder is dropped: a failed one may keep anything
	case e.full:
		return nil, ErrEnough
	case err != nil:
		return nil, UserError(err)
	}
	if exact && cap(b) <= MaxPooled {
		e.scratch = b
		b = bytes.Clone(b)
	}
	encoders.Put(e)
	return b, nil
}

// guarded is an encoder for a type whose values may nest without bound: it stops
// before the value is deeper than what decodes, long before the stack is. It also
// stops methods of the type that write no well-formed msgpack.
type guarded struct {
	encoder
	check wire.Checker
	next  int   // length of buf at which it looks again
	err   error // why it has stopped
}

// lookEvery is after how many bytes a guarded encoder looks at what it has written:
// it nests by at most one level a byte.
const lookEvery = 512

func (g *guarded) Write(p []byte) (int, error) {
	g.goOn()
	if _, g.err = g.encoder.Write(p); g.err != nil {
		return 0, g.err
	}
	return len(p), g.look()
}

func (g *guarded) WriteByte(c byte) error {
	g.goOn()
	if g.err = g.encoder.WriteByte(c); g.err != nil {
		return g.err
	}
	return g.look()
}

// goOn stops a type's own methods, which may be many calls deep, if they write on
// after an error.
func (g *guarded) goOn() {
	if g.err != nil {
		panic(g.err) // encodeOpen recovers it
	}
}

func (g *guarded) look() error {
	if len(g.buf) >= g.next {
		g.next = len(g.buf) + lookEvery
		g.err = g.check.Partial(g.buf)
	}
	return g.err
}

var guardeds = sync.Pool{New: func() any {
	g := new(guarded)
	g.enc = msgpack.NewEncoder(g)
	return g
}}

// encodeOpen is encode for a type whose nesting is open.
func encodeOpen(b []byte, v any, most int) ([]byte, error) {
	g := guardeds.Get().(*guarded)
	b, err := g.encode(b, v, most)
	if err != nil {
		return nil, err // the encoder is dropped: a failed one may keep anything
	}
	guardeds.Put(g)
	return b, nil
}

func (g *guarded) encode(b []byte, v any, most int) (_ []byte, err error) {
	defer func() {
		if g.err != nil {
			_ = recover() // of goOn
			err = g.refusal(v)
		}
	}()
	g.buf, g.next, g.most = b, len(b)+lookEvery, room(len(b), most)
	g.check.Begin(len(b))
	g.enc.Reset(g)
	g.enc.UseCompactInts(true)
	if err = g.enc.Encode(v); err == nil {
		g.err = g.check.Whole(g.buf)
	}
	b, g.buf = g.buf, nil
	return b, UserError(err)
}

// refusal says why v was not written to its end.
func (g *guarded) refusal(v any) error {
	if g.err == ErrEnough {
		return g.err
	}
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if errors.Is(g.err, wire.ErrDepth) {
		return fmt.Errorf("a %v is nested deeper than %d levels, the most that travels, or contains itself", t, wire.MaxDepth)
	}
	return fmt.Errorf("a method of a %v, or of what is in it, writes no msgpack that travels: %w", t, g.err)
}

// encodeAny is Encode for a value of whatever type.
func encodeAny(b []byte, v any, most int) ([]byte, error) {
	t := reflect.TypeOf(v)
	if t == nil {
		return Encode(b, v, most)
	}
	k := learn(t)
	if k.boxes {
		box := reflect.New(t)
		box.Elem().Set(reflect.ValueOf(v))
		v = box.Interface()
	}
	if k.open {
		return encodeOpen(b, v, most)
	}
	return Encode(b, v, most)
}

// meter is an encoder that counts its bytes.
type meter struct {
	enc     *msgpack.Encoder
	n, most int
}

func (m *meter) Write(p []byte) (int, error) {
	if m.n += len(p); m.n > m.most {
		return 0, ErrEnough
	}
	return len(p), nil
}

func (m *meter) WriteByte(byte) error {
	if m.n++; m.n > m.most {
		return ErrEnough
	}
	return nil
}

var meters = sync.Pool{New: func() any {
	m := new(meter)
	m.enc = msgpack.NewEncoder(m)
	return m
}}

// encodedSize is how many bytes v is encoded to, or about most, and more, if they are
// more than most: then it does not encode the rest.
func encodedSize(v any, most int) (int, error) {
	if learn(reflect.TypeOf(v)).open {
		return openSize(v, most)
	}
	m := meters.Get().(*meter)
	m.n, m.most = 0, most
	m.enc.Reset(m)
	m.enc.UseCompactInts(true)
	switch err := m.enc.Encode(v); {
	case m.n > most:
		return m.n, nil // the meter is dropped, as after any error
	case err != nil:
		return 0, err
	}
	defer meters.Put(m)
	return m.n, nil
}

func openSize(v any, most int) (int, error) {
	g := guardeds.Get().(*guarded)
	b, err := g.encode(nil, v, most)
	switch {
	case err == ErrEnough:
		return most + 1, nil
	case err != nil:
		return 0, err
	}
	guardeds.Put(g)
	return len(b), nil
}

// enough says of an encoding that was not finished that it does not fit into a message.
func enough(err error, most int) error {
	if err != ErrEnough {
		return err
	}
	return fmt.Errorf("more than %d bytes, the limit (Config.MaxFrame, less what else is in a message)", most)
}

// MaxPooled is the largest message, in bytes, after which a codec's scratch
// memory is kept.
const MaxPooled = 64 << 10
