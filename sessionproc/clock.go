package sessionproc

import (
	"sync/atomic"
	"time"
)

// tick is how far behind the coarse clock may be.
const tick = 20 * time.Millisecond

// epoch is the zero of times kept as a number; only differences count.
var epoch = time.Now()

// sinceEpoch is t as a number, and atEpoch the time of one.
func sinceEpoch(t time.Time) int64 { return int64(t.Sub(epoch)) }

func atEpoch(n int64) time.Time { return epoch.Add(time.Duration(n)) }

// clock is a time that costs one atomic load. A loop of the table advances it.
type clock struct {
	now   atomic.Int64 // since epoch
	wall  atomic.Int64 // the same by the wall's clock, in ns of unix time
	slept atomic.Int64 // how far the wall's clock was set on, in tests
}

func (c *clock) advance() {
	now := time.Now()
	c.now.Store(sinceEpoch(now))
	c.wall.Store(now.UnixNano() + c.slept.Load())
}

// behind is how far the clock is behind, by the clock that says more: the monotonic
// one stands still while the machine sleeps, and the wall's is set now and then.
func (c *clock) behind() time.Duration {
	now := time.Now()
	wall := now.UnixNano() + c.slept.Load() - c.wall.Load()
	return time.Duration(max(sinceEpoch(now)-c.now.Load(), wall))
}

// in returns the time after d from now, since epoch. Short ones are exact.
func (c *clock) in(d time.Duration) int64 {
	if d < time.Second {
		return int64(time.Since(epoch) + d)
	}
	return c.now.Load() + int64(d)
}
