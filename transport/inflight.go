package transport

import "sync/atomic"

// inflight counts the bytes of unanswered requests.
type inflight struct{ atomic.Int64 }

// Inflight returns how many bytes of requests of all peers are not answered yet. See Config.MaxInflight.
func (t *Transport) Inflight() int64 { return t.inflight.Load() }

// reserve adds cost unless the sum would exceed most. It does not add first and
// subtract again on failure: for that moment other requests that have room
// would be refused.
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
