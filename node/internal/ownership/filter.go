package ownership

import (
	"iter"

	"github.com/cespare/xxhash/v2"
)

// A Filter is a Bloom filter of session IDs: the copies that the sender of a
// Promise has. The empty Filter says nothing. Filters travel between nodes, so
// the form is permanent: one byte with the number of bits that are set for each
// ID, then the bits.
//
// A new holder may start a session only if no other member has a copy of it.
// Without filters it would have to ask each promiser about each new session,
// while that promiser is busy sending thousands of others. With filters the
// holder knows at once that a session with a fresh ID is nowhere else.
//
// That is safe because a filter cannot miss a copy:
//
// - The driver makes the filter under the partition's write lock, together with the
// promise, from all copies in any state: running, starting, sealed, backup,
// tombstone.
// - After the promise its sender can make no new copy under that claim. It may start a
// session only with the token (Who), and take one only for a claim of its own,
// and the promise has voided both (letGo).
// - A filter counts only under the ID of the claim that it answers (peer.set clears it).
//
// A filter may contain a session that is not there, as Bloom filters do. Then
// the holder asks with Find, as it does without a filter.
type Filter string

// With these numbers a filter wrongly contains one in 120 of the sessions that it was not made
// of.
const (
	filterBits   = 10 // per session
	filterHashes = 7  // bits that are set for each session
	// filterMost bounds the sessions of a filter, and so its size to 320 KiB. A promise
	// for more sessions goes without one.
	filterMost = 1 << 18
)

// NewFilter returns the filter of up to n sessions. It returns "" if there are
// none or too many.
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

// lacks reports whether f was certainly made without session. It reports false
// for an empty filter.
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

// bitsOf returns the place of the session's first bit and the step to each next
// one. The step is odd, so that it never is 0. Two halves of one hash serve as
// two independent hashes.
func bitsOf(session string) (at, step uint32) {
	h := xxhash.Sum64String(session)
	return uint32(h >> 32), uint32(h) | 1
}

// bitAt maps a place to a bit of a filter of size bytes. It multiplies instead
// of taking a remainder, so that the size need not be a power of two.
func bitAt(at uint32, size int) uint32 { return uint32(uint64(at) * uint64(size*8) >> 32) }
