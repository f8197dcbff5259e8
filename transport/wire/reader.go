package wire

import "encoding/binary"

// A Reader reads msgpack values one after another from a byte slice. It never
// panics, copies nothing, and allocates only to report an error. The first
// value that is not of the expected type sets Err, and from then on every
// method returns the zero value. So a caller reads all that it needs and checks
// Err once.
//
// Strings and binary data share memory with the slice. A Reader must not be
// used concurrently.
type Reader struct {
	b   []byte
	at  int
	err error
}

// NewReader returns a Reader at the beginning of b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns the first error, or nil if all values so far were as expected.
func (r *Reader) Err() error { return r.err }

// Len returns how many bytes are left. It returns 0 after an error.
func (r *Reader) Len() int { return len(r.b) - r.at }

// Rest returns the bytes that are left. It returns none after an error.
func (r *Reader) Rest() []byte { return r.b[r.at:] }

// fail records the first error. It leaves no byte to read, so that no other
// method needs to check err.
func (r *Reader) fail(what string) {
	if r.err == nil {
		r.err = malformed(what, r.at)
	}
	r.at = len(r.b)
}

// Uint reads a non-negative integer in any of the unsigned forms.
func (r *Reader) Uint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	return r.longUint()
}

func (r *Reader) longUint() uint64 {
	b := r.b[r.at:]
	if len(b) == 0 {
		r.fail(whatTruncated)
		return 0
	}
	size := 0
	switch b[0] {
	case 0xcc:
		size = 1
	case 0xcd:
		size = 2
	case 0xce:
		size = 4
	case 0xcf:
		size = 8
	default:
		r.fail("no unsigned integer")
		return 0
	}
	if len(b) <= size {
		r.fail(whatTruncated)
		return 0
	}
	r.at += 1 + size
	switch size {
	case 1:
		return uint64(b[1])
	case 2:
		return uint64(binary.BigEndian.Uint16(b[1:]))
	case 4:
		return uint64(binary.BigEndian.Uint32(b[1:]))
	}
	return binary.BigEndian.Uint64(b[1:])
}

// Uint32 reads an integer that fits into 32 bits.
func (r *Reader) Uint32() uint32 {
	at := r.at
	v := r.Uint()
	if v > 1<<32-1 {
		r.at = at
		r.fail("integer exceeds 32 bits")
		return 0
	}
	return uint32(v)
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	if r.at < len(r.b) && r.b[r.at]|1 == 0xc3 {
		r.at++
		return r.b[r.at-1] == 0xc3
	}
	r.fail("no boolean")
	return false
}

// Nil reads a nil, if one comes next, and reports whether it did. Another value
// is no error.
func (r *Reader) Nil() bool {
	if r.at < len(r.b) && r.b[r.at] == 0xc0 {
		r.at++
		return true
	}
	return false
}

// Str reads a string. The result shares memory with the slice.
func (r *Reader) Str() []byte {
	if r.at < len(r.b) {
		if c := r.b[r.at]; c&0xe0 == 0xa0 {
			return r.take(1, uint32(c&0x1f))
		}
	}
	return r.sized(0xd9, "no string")
}

// Bytes reads binary data. The result shares memory with the slice. It is nil
// only after an error.
func (r *Reader) Bytes() []byte {
	if b := r.b[r.at:]; len(b) > 1 && b[0] == 0xc4 {
		return r.take(2, uint32(b[1]))
	}
	return r.sized(0xc4, "no binary data")
}

// sized reads a value whose code says how many bytes its length has: 1 for
// code, 2 for code+1, and 4 for code+2.
func (r *Reader) sized(code byte, what string) []byte {
	b := r.b[r.at:]
	if len(b) == 0 {
		r.fail(whatTruncated)
		return nil
	}
	switch {
	case b[0] == code && len(b) > 1:
		return r.take(2, uint32(b[1]))
	case b[0] == code+1 && len(b) > 2:
		return r.take(3, uint32(binary.BigEndian.Uint16(b[1:])))
	case b[0] == code+2 && len(b) > 4:
		return r.take(5, binary.BigEndian.Uint32(b[1:]))
	case b[0] >= code && b[0] <= code+2:
		what = whatTruncated
	}
	r.fail(what)
	return nil
}

// take returns the n bytes behind a header of head bytes. The header is known
// to be there.
func (r *Reader) take(head int, n uint32) []byte {
	start := r.at + head
	if uint64(n) > uint64(len(r.b)-start) {
		r.fail(whatLength)
		return nil
	}
	r.at = start + int(n)
	return r.b[start:r.at:r.at]
}

// ArrayLen reads the header of an array and returns how many elements follow.
// At least that many bytes are left, so a caller may allocate by it.
func (r *Reader) ArrayLen() int {
	if r.at < len(r.b) {
		if c := r.b[r.at]; (c&0xf0 == 0x90 || c == 0xdc || c == 0xdd) && r.counted(c) {
			return int(r.count(c))
		}
	}
	r.fail("no array, or one that claims more than is left")
	return 0
}

// MapLen reads the header of a map and returns how many pairs follow. At least
// twice that many bytes are left, so a caller may allocate by it.
func (r *Reader) MapLen() int {
	if r.at < len(r.b) {
		if c := r.b[r.at]; (c&0xf0 == 0x80 || c == 0xde || c == 0xdf) && r.counted(c) {
			return int(r.count(c) / 2)
		}
	}
	r.fail("no map, or one that claims more than is left")
	return 0
}

// counted reports whether the header that begins with c is complete, and as
// many bytes are left as it claims elements.
func (r *Reader) counted(c byte) bool {
	count, _, next := countOf(r.b, c, r.at+1)
	return next <= len(r.b) && count <= uint64(len(r.b)-next)
}

func (r *Reader) count(c byte) uint64 {
	count, _, next := countOf(r.b, c, r.at+1)
	r.at = next
	return count
}

// Skip reads one value of any type, by the rules of Check.
func (r *Reader) Skip() { r.Raw() }

// Raw reads one value of any type, by the rules of Check, and returns its
// bytes. The result shares memory with the slice.
func (r *Reader) Raw() []byte {
	if r.err != nil {
		return nil
	}
	end, err := walk(r.b, r.at)
	if err != nil {
		r.err = err
		r.at = len(r.b)
		return nil
	}
	start := r.at
	r.at = end
	return r.b[start:end:end]
}
