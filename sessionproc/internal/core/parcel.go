package core

import (
	"math"
	"unsafe"
)

// Parcel is a value on its way to another goroutine.
type Parcel[T any] struct {
	Form  parcelForm
	clone T // unpacked, the receiver's
	buf   []byte
}

type parcelForm uint8

const (
	ParcelEmpty  parcelForm = iota // the value itself goes
	parcelCloned                   // clone is it
	parcelCoded                    // buf is its encoding
)

// Pack puts what the other goroutine may have of *v into p, encoded at most most bytes
// of it, and returns the bytes that it is counted with. share: both sides agree to share
// memory.
func (c *Codec[T]) Pack(p *Parcel[T], v *T, share bool, most int) (size int32, err error) {
	n := c.Weight(v)
	switch {
	case c.AsIs(share):
		c.Normalize(v)
		p.Form = ParcelEmpty
	case c.mode == copyBytes:
		b := *(*[]byte)(unsafe.Pointer(v))
		if len(b) > most {
			return 0, TooLarge(len(b), most)
		}
		b = copyOf(b)
		p.Form, p.clone = parcelCloned, *(*T)(unsafe.Pointer(&b))
	case c.mode == copyClone:
		p.Form, p.clone = parcelCloned, c.clone(v)
		c.Normalize(&p.clone)
	default:
		if p.buf, err = c.msgpack(p.buf[:0], v, most); err != nil {
			return 0, err
		}
		p.Form = parcelCoded
		n += len(p.buf)
	}
	return MailSize(n), nil
}

// PackRequest is pack in the caller's goroutine. A panic of the type's own methods
// becomes an error.
func (c *Codec[T]) PackRequest(p *Parcel[T], v *T, share bool, most int) (size int32, err error) {
	if c.mode != copyPlain {
		defer Contain(&err)
	}
	if size, err = c.Pack(p, v, share, most); err != nil {
		err = BadRequest(err)
	}
	return size, err
}

// MailSize is a number of bytes as a mailbox counts them.
func MailSize(n int) int32 { return int32(min(n, math.MaxInt32)) }

// Unpack returns the value in p, unless it is empty: then own is the value. It
// is called once, by the receiver.
func (c *Codec[T]) Unpack(p *Parcel[T], own *T) (*T, error) {
	switch p.Form {
	case parcelCloned:
		return &p.clone, nil
	case parcelCoded:
		var none T
		p.clone = none
		err := decode(p.buf, &p.clone)
		c.toUTC(&p.clone)
		return &p.clone, c.expecting(err)
	}
	return own, nil
}

// Clear makes a pooled message forget a value, unless that refers to nothing.
func (c *Codec[T]) Clear(v *T, p *Parcel[T]) {
	if !c.Simple {
		c.forget(v, p)
	}
}

func (c *Codec[T]) forget(v *T, p *Parcel[T]) {
	var none T
	*v = none
	p.Form, p.clone = ParcelEmpty, none
	if cap(p.buf) > MaxPooled {
		p.buf = nil
	}
}

// Packed returns the encoding of the value in p, unless it is empty: then own is the value. It may
// share memory with p.
func (c *Codec[T]) Packed(p *Parcel[T], own *T, most int) ([]byte, error) {
	switch p.Form {
	case parcelCoded:
		if most > 0 && len(p.buf) > most {
			return nil, ErrEnough
		}
		return p.buf, nil
	case parcelCloned:
		own = &p.clone
	}
	return c.Encode(nil, own, most)
}
