package sessionproc

import (
	"math"
	"unsafe"
)

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

// pack puts what the other goroutine may have of *v into p, encoded at most most bytes
// of it, and returns the bytes that it is counted with. share: both sides agree to share
// memory.
func (c *codec[T]) pack(p *parcel[T], v *T, share bool, most int) (size int32, err error) {
	n := c.weight(v)
	switch {
	case c.asIs(share):
		c.normalize(v)
		p.form = parcelEmpty
	case c.mode == copyBytes:
		b := *(*[]byte)(unsafe.Pointer(v))
		if len(b) > most {
			return 0, tooLarge(len(b), most)
		}
		b = copyOf(b)
		p.form, p.clone = parcelCloned, *(*T)(unsafe.Pointer(&b))
	case c.mode == copyClone:
		p.form, p.clone = parcelCloned, c.clone(v)
		c.normalize(&p.clone)
	default:
		if p.buf, err = c.msgpack(p.buf[:0], v, most); err != nil {
			return 0, err
		}
		p.form = parcelCoded
		n += len(p.buf)
	}
	return mailSize(n), nil
}

// packRequest is pack in the caller's goroutine. A panic of the type's own methods
// becomes an error.
func (c *codec[T]) packRequest(p *parcel[T], v *T, share bool, most int) (size int32, err error) {
	if c.mode != copyPlain {
		defer contain(&err)
	}
	if size, err = c.pack(p, v, share, most); err != nil {
		err = badRequest(err)
	}
	return size, err
}

// contain makes an error of a panic of a request's own encoding or Clone.
func contain(err *error) {
	if cause := recover(); cause != nil {
		*err = badRequest(panicked("encoding", cause))
	}
}

// mailSize is a number of bytes as a mailbox counts them.
func mailSize(n int) int32 { return int32(min(n, math.MaxInt32)) }

// unpack returns the value in p, unless it is empty: then own is the value. It
// is called once, by the receiver.
func (c *codec[T]) unpack(p *parcel[T], own *T) (*T, error) {
	switch p.form {
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
