package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxDepth is how deep arrays and maps may be nested.
const MaxDepth = 64

// ErrMalformed is in every error of this package (errors.Is). The text of an
// error says what is wrong and at which byte.
var ErrMalformed = errors.New("malformed msgpack")

// ErrDepth is in the error of a value that is nested deeper than MaxDepth.
var ErrDepth = errors.New(whatDepth)

func malformed(what string, at int) error {
	if what == whatDepth {
		return fmt.Errorf("wire: %w: %w at byte %d", ErrMalformed, ErrDepth, at)
	}
	return fmt.Errorf("wire: %w: %s at byte %d", ErrMalformed, what, at)
}

const (
	whatTruncated = "value is cut off"
	whatLength    = "length exceeds the bytes that are left"
	whatCount     = "more elements claimed than bytes are left"
	whatDepth     = "nested deeper than 64 levels"
	whatKey       = "map key is an array or map"
	whatExt       = "extension type or length not allowed"
	whatReserved  = "reserved byte 0xc1"
	whatTrailing  = "bytes behind the value"
)

// Check returns nil if b is exactly one complete msgpack value that can be
// decoded safely:
//
// - Each claimed length and element exists in b.
// - Arrays and maps are nested at most MaxDepth levels deep.
// - No key of a map is an array or a map.
// - The only extension is the timestamp (type -1, in its three forms).
// - Nothing follows the value.
//
// So a decoder of b allocates in proportion to len(b), within a bounded stack.
//
// Check does not check that strings are UTF-8, and a key may be binary. Decode
// into typed values, never into map[any]any, which cannot hold a binary key.
//
// Check allocates only to report an error. A message of 240 bytes and 17 values
// takes 50 to 60 ns (BenchmarkCheck).
func Check(b []byte) error {
	end, err := walk(b, 0)
	if err != nil {
		return err
	}
	if end != len(b) {
		return malformed(whatTrailing, end)
	}
	return nil
}

// walk returns the offset after the value that begins at b[at].
func walk(b []byte, at int) (int, error) {
	c := Checker{at: at, level: oneValue}
	return c.walk(b, false)
}

// A Checker does the work of Check on a value that is still being written. It
// looks at each byte once, so that a writer can be stopped before it nests too
// deep. Begin must be called first.
//
// Nesting needs a stack, and recursion would let the input choose its depth. A
// level of the stack is one word: the number of values that the level still
// lacks, times two, plus one if it is a map. A map lacks an even number of
// values exactly when a key comes next.
type Checker struct {
	stack [MaxDepth]uint64
	depth int
	level uint64
	at    int  // the first byte that was not checked
	over  bool // the value is complete
}

// oneValue is the level around the value: it lacks one value and is no map.
const oneValue = 1 << 1

// Begin prepares c for a value that begins at offset at.
func (c *Checker) Begin(at int) { c.depth, c.level, c.at, c.over = 0, oneValue, at, false }

// Partial checks the bytes of b that were not there at the last call. It
// returns an error if no continuation of b can be a value that Check accepts.
func (c *Checker) Partial(b []byte) error {
	if !c.over {
		if _, err := c.walk(b, true); err != nil || !c.over {
			return err
		}
	}
	if c.at < len(b) {
		return malformed(whatTrailing, c.at)
	}
	return nil
}

// Whole is like Partial, for a b that holds the whole value.
func (c *Checker) Whole(b []byte) error {
	if err := c.Partial(b); err != nil || c.over {
		return err
	}
	_, err := c.walk(b, false)
	return err
}

// walk returns the offset after the value. If partial is set and the value is
// incomplete, walk returns without an error and continues from there at the
// next call.
func (c *Checker) walk(b []byte, partial bool) (int, error) {
	at, depth, level := c.at, c.depth, c.level
	for {
		if at >= len(b) {
			return at, c.stop(whatTruncated, at, depth, level, partial)
		}
		start, code := at, b[at]
		key := level&3 == 1
		level -= 2
		at++
		switch {
		case code < 0x80 || code >= 0xe0: // fixint
		case code >= 0xa0 && code < 0xc0: // fixstr
			at += int(code & 0x1f)
		case code < 0xa0 || code >= 0xdc: // fixmap, fixarray, array 16 and 32, map 16 and 32
			count, isMap, next := countOf(b, code, at)
			if next > len(b) {
				return start, c.stop(whatTruncated, start, depth, level+2, partial)
			}
			at = next
			if what := refuse(count, len(b)-at, depth, key, partial); what != "" {
				return start, malformed(what, start)
			}
			c.stack[depth] = level
			depth++
			level = count<<1 | isMap
		default:
			next, what := scalar(b, code, at)
			if what != "" {
				return start, c.stop(what, start, depth, level+2, partial)
			}
			at = next
		}
		if at > len(b) {
			return start, c.stop(whatLength, start, depth, level+2, partial)
		}
		for level < 2 {
			if depth == 0 {
				c.at, c.over = at, true
				return at, nil
			}
			depth--
			level = c.stack[depth]
		}
	}
}

// stop ends a walk at a value that cannot be read. If partial is set and more
// bytes could make the value readable, stop saves the position instead.
func (c *Checker) stop(what string, at, depth int, level uint64, partial bool) error {
	if !partial || what != whatTruncated && what != whatLength {
		return malformed(what, at)
	}
	c.at, c.depth, c.level = at, depth, level
	return nil
}

// countOf decodes the header of an array or map whose first byte is c. It
// returns how many values belong to it, 1 if it is a map, and the offset after
// the header, which is beyond len(b) if the header is truncated.
func countOf(b []byte, c byte, at int) (count, isMap uint64, next int) {
	switch {
	case c < 0x90:
		return uint64(c&0x0f) * 2, 1, at
	case c < 0xa0:
		return uint64(c & 0x0f), 0, at
	}
	isMap = uint64(c>>1) & 1 // dc, dd: array; de, df: map
	if c&1 == 0 {
		if len(b)-at < 2 {
			return 0, 0, len(b) + 1
		}
		return uint64(binary.BigEndian.Uint16(b[at:])) << isMap, isMap, at + 2
	}
	if len(b)-at < 4 {
		return 0, 0, len(b) + 1
	}
	return uint64(binary.BigEndian.Uint32(b[at:])) << isMap, isMap, at + 4
}

// refuse returns why an array or map of count values is not allowed when left
// bytes follow its header, or "". partial says that more bytes may follow.
func refuse(count uint64, left, depth int, key, partial bool) string {
	switch {
	case key:
		return whatKey
	case depth == MaxDepth:
		return whatDepth
	case count > uint64(left) && !partial:
		return whatCount
	}
	return ""
}

// scalar returns the offset after the value whose first byte c (0xc0 to 0xdb)
// is before at. The offset may lie beyond len(b), but never overflows.
func scalar(b []byte, c byte, at int) (next int, what string) {
	switch c {
	case 0xc0, 0xc2, 0xc3: // nil, bool
		return at, ""
	case 0xcc, 0xd0:
		return at + 1, ""
	case 0xcd, 0xd1:
		return at + 2, ""
	case 0xca, 0xce, 0xd2:
		return at + 4, ""
	case 0xcb, 0xcf, 0xd3:
		return at + 8, ""
	case 0xc4, 0xd9: // bin 8, str 8
		if len(b)-at < 1 {
			return at, whatTruncated
		}
		return at + 1 + int(b[at]), ""
	case 0xc5, 0xda:
		if len(b)-at < 2 {
			return at, whatTruncated
		}
		return at + 2 + int(binary.BigEndian.Uint16(b[at:])), ""
	case 0xc6, 0xdb:
		if len(b)-at < 4 {
			return at, whatTruncated
		}
		n := binary.BigEndian.Uint32(b[at:])
		if uint64(n) > uint64(len(b)-at-4) { // compared first: an int may have 32 bits
			return at, whatLength
		}
		return at + 4 + int(n), ""
	case 0xc1:
		return at, whatReserved
	}
	return timestamp(b, c, at)
}

// timestamp returns the offset after a timestamp of 32, 64 or 96 bits.
func timestamp(b []byte, c byte, at int) (next int, what string) {
	var size int
	switch c {
	case 0xd6:
		size = 4
	case 0xd7:
		size = 8
	case 0xc7:
		if at >= len(b) {
			return at, whatTruncated
		}
		if size = int(b[at]); size != 12 {
			return at, whatExt
		}
		at++
	default:
		return at, whatExt
	}
	if at >= len(b) {
		return at, whatTruncated
	}
	if b[at] != 0xff {
		return at, whatExt
	}
	return at + 1 + size, ""
}
