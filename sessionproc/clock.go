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
type clock struct{ now atomic.Int64 } // since epoch

func (c *clock) advance() { c.now.Store(int64(time.Since(epoch))) }

// in returns the time after d from now, since epoch. Short ones are exact.
func (c *clock) in(d time.Duration) int64 {
	if d < time.Second {
		return int64(time.Since(epoch) + d)
	}
	return c.now.Load() + int64(d)
}
