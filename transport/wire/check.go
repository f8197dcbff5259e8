package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxDepth is how deep arrays and maps may be nested in each other.
const MaxDepth = 64

// ErrMalformed is in every error of this package (errors.Is). The error's text
// names what is wrong and at which byte.
var ErrMalformed = errors.New("malformed msgpack")

func malformed(what string, at int) error {
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

// Check reports whether b is exactly one complete msgpack value that can be
// decoded safely: every claimed length and element exists in b, arrays and
// maps are at most MaxDepth levels deep, no key of a map is itself an array or
// map, the only extension is the timestamp (type -1, in its three forms), and
// nothing follows the value. So whoever decodes b allocates in proportion to
// len(b), within a bounded stack.
//
// Strings are not checked for UTF-8, and a key may be binary: decode into
// typed values, never into map[any]any, which cannot hold one.
//
// It allocates only to report an error; a message of 240 bytes and 17 values
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

// walk returns the offset behind the value that begins at b[at].
//
// A level of nesting is one word: the values it still lacks, times two, plus
// one if it is a map. A map lacks an even number of values exactly when a key
// comes next.
func walk(b []byte, at int) (int, error) {
	var stack [MaxDepth]uint64
	depth, level := 0, uint64(1)<<1
	for {
		if at >= len(b) {
			return at, malformed(whatTruncated, at)
		}
		start, c := at, b[at]
		key := level&3 == 1
		level -= 2
		at++
		switch {
		case c < 0x80 || c >= 0xe0: // fixint
		case c >= 0xa0 && c < 0xc0: // fixstr
			at += int(c & 0x1f)
		case c < 0xa0 || c >= 0xdc: // fixmap, fixarray, array 16 and 32, map 16 and 32
			count, isMap, next := countOf(b, c, at)
			if next > len(b) {
				return start, malformed(whatTruncated, start)
			}
			at = next
			if what := refuse(count, len(b)-at, depth, key); what != "" {
				return start, malformed(what, start)
			}
			stack[depth] = level
			depth++
			level = count<<1 | isMap
		default:
			next, what := scalar(b, c, at)
			if what != "" {
				return start, malformed(what, start)
			}
			at = next
		}
		if at > len(b) {
			return start, malformed(whatLength, start)
		}
		for level < 2 {
			if depth == 0 {
				return at, nil
			}
			depth--
			level = stack[depth]
		}
	}
}

// countOf reads the header of an array or map whose first byte is c: how many
// values belong to it, 1 if it is a map, and the offset behind the header,
// which is beyond len(b) if the header is cut off.
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

// refuse names the reason against an array or map of count values when left
// bytes follow its header, or returns "".
func refuse(count uint64, left, depth int, key bool) string {
	switch {
	case key:
		return whatKey
	case depth == MaxDepth:
		return whatDepth
	case count > uint64(left):
		return whatCount
	}
	return ""
}

// scalar returns the offset behind the value whose first byte c (0xc0 to 0xdb) is
// before at. The offset may lie beyond len(b), never overflow.
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

// timestamp returns the offset behind a timestamp of 32, 64 or 96 bits.
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
