package core

import (
	"encoding/binary"
	"hash/fnv"
	"math"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// Digest returns a number for an encoded request, to tell whether two are the same. It is the same on
// all nodes and in all releases. What msgpack leaves open makes no difference: the order of a map,
// and how long a number is written. Nor do entries of a map with a zero value, so that a release
// which has added a field to a request finds that of an earlier one the same.
func Digest(payload []byte, raw bool) uint64 {
	if !raw {
		d := digester{b: payload}
		if sum, _ := d.value(0); d.ok() {
			return sum
		}
	}
	return sumOf('r', payload)
}

// sumOf hashes bytes of some kind.
func sumOf(kind byte, b []byte) uint64 {
	h := fnv.New64a()
	h.Write([]byte{kind})
	h.Write(b)
	return h.Sum64()
}

func sumOfNumbers(kind byte, numbers ...uint64) uint64 {
	var b [16]byte
	some := b[:0]
	for _, n := range numbers {
		some = binary.BigEndian.AppendUint64(some, n)
	}
	return sumOf(kind, some)
}

// A digester reads msgpack.
type digester struct {
	b   []byte
	bad bool
}

func (d *digester) ok() bool { return !d.bad && len(d.b) == 0 }

// take returns the next n bytes, or fewer.
func (d *digester) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, n = true, uint64(len(d.b))
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

// number reads an unsigned number of 1, 2, 4 or 8 bytes.
func (d *digester) number(size uint64) (n uint64) {
	for _, c := range d.take(size) {
		n = n<<8 | uint64(c)
	}
	return n
}

// value hashes the next value. zero: it is the zero value of its type.
func (d *digester) value(depth int) (sum uint64, zero bool) {
	head := d.take(1)
	if depth > wire.MaxDepth || d.bad {
		d.bad = true
		return 0, false
	}
	switch c := head[0]; {
	case c < 0x80:
		return integer(int64(c))
	case c < 0x90:
		return d.pairs(uint64(c&0x0f), depth)
	case c < 0xa0:
		return d.items(uint64(c&0x0f), depth)
	case c < 0xc0:
		return d.text(uint64(c & 0x1f))
	case c >= 0xe0:
		return integer(int64(int8(c)))
	default:
		return d.long(c, depth)
	}
}

// long hashes a value whose first byte says how its length or number is written.
func (d *digester) long(c byte, depth int) (sum uint64, zero bool) {
	switch c {
	case 0xc0, 0xc2:
		return sumOfNumbers('n'), true
	case 0xc3:
		return sumOfNumbers('t'), false
	case 0xc4, 0xc5, 0xc6:
		return d.text(d.number(1 << (c - 0xc4)))
	case 0xc7, 0xc8, 0xc9:
		return sumOf('x', d.take(1+d.number(1<<(c-0xc7)))), false
	case 0xca:
		return float(float64(math.Float32frombits(uint32(d.number(4)))))
	case 0xcb:
		return float(math.Float64frombits(d.number(8)))
	case 0xcc, 0xcd, 0xce, 0xcf:
		n := d.number(1 << (c - 0xcc))
		if n > math.MaxInt64 {
			return sumOfNumbers('u', n), false
		}
		return integer(int64(n))
	case 0xd0:
		return integer(int64(int8(d.number(1))))
	case 0xd1:
		return integer(int64(int16(d.number(2))))
	case 0xd2:
		return integer(int64(int32(d.number(4))))
	case 0xd3:
		return integer(int64(d.number(8)))
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return sumOf('x', d.take(1+1<<(c-0xd4))), false
	case 0xd9, 0xda, 0xdb:
		return d.text(d.number(1 << (c - 0xd9)))
	case 0xdc, 0xdd:
		return d.items(d.number(2<<(c-0xdc)), depth)
	case 0xde, 0xdf:
		return d.pairs(d.number(2<<(c-0xde)), depth)
	}
	d.bad = true
	return 0, false
}

func integer(n int64) (sum uint64, zero bool) { return sumOfNumbers('i', uint64(n)), n == 0 }

func float(f float64) (sum uint64, zero bool) { return sumOfNumbers('f', math.Float64bits(f)), f == 0 }

func (d *digester) text(size uint64) (sum uint64, zero bool) {
	return sumOf('s', d.take(size)), size == 0
}

func (d *digester) items(n uint64, depth int) (sum uint64, zero bool) {
	sum = sumOfNumbers('a', n)
	for i := uint64(0); i < n && !d.bad; i++ {
		one, _ := d.value(depth + 1)
		sum = sumOfNumbers('a', sum, one)
	}
	return sum, n == 0
}

// pairs hashes the entries of a map in any order, those that are zero left out.
func (d *digester) pairs(n uint64, depth int) (sum uint64, zero bool) {
	zero = true
	for i := uint64(0); i < n && !d.bad; i++ {
		key, _ := d.value(depth + 1)
		value, none := d.value(depth + 1)
		if !none {
			sum, zero = sum+sumOfNumbers('e', key, value), false
		}
	}
	return sumOfNumbers('m', sum), zero
}
