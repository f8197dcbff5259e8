package ownership

import (
	"iter"

	"github.com/cespare/xxhash/v2"
)

// Filter is a Bloom filter of session IDs: what a Promise says of the copies that are
// at its sender. "" says nothing. It travels between nodes, so its form is permanent:
// the number of bits that are set for each ID, then the bits.
type Filter string

// Of the sessions that are not in a filter one in 120 seems to be.
const (
	filterBits   = 10 // for each session
	filterHashes = 7
	filterMost   = 1 << 18 // sessions; of more no filter is made: it would have more than 320 KiB
)

// NewFilter makes the filter of up to n sessions: "" if there are too many, or none.
func NewFilter(n int, sessions iter.Seq[string]) Filter {
	if n <= 0 || n > filterMost {
		return ""
	}
	b := make([]byte, 1+(n*filterBits+7)/8)
	b[0] = filterHashes
	for session := range sessions {
		at, step := bitsOf(session)
		for range filterHashes {
			bit := bitAt(at, len(b)-1)
			b[1+bit/8] |= 1 << (bit % 8)
			at += step
		}
	}
	return Filter(b)
}

// lacks reports whether session was certainly not among those that the filter was
// made of.
func (f Filter) lacks(session string) bool {
	if len(f) < 2 {
		return false
	}
	at, step := bitsOf(session)
	for range f[0] {
		bit := bitAt(at, len(f)-1)
		if f[1+bit/8]>>(bit%8)&1 == 0 {
			return true
		}
		at += step
	}
	return false
}

// bitsOf are the places of a session's bits in a filter: the first one, and how far each
// is from the one before.
func bitsOf(session string) (at, step uint32) {
	h := xxhash.Sum64String(session)
	return uint32(h >> 32), uint32(h) | 1
}

// bitAt is the bit at a place in a filter of so many bytes.
func bitAt(at uint32, size int) uint32 { return uint32(uint64(at) * uint64(size*8) >> 32) }
