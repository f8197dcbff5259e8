package transport

import "sync/atomic"

// inflight counts the bytes of unanswered requests.
type inflight struct{ atomic.Int64 }

// reserve counts cost, unless that would be more than most. What is refused is not
// counted even for a moment, in which others could be refused that have room.
func (f *inflight) reserve(cost, most int64) bool {
	for {
		n := f.Load()
		if n > most-cost {
			return false
		}
		if f.CompareAndSwap(n, n+cost) {
			return true
		}
	}
}
