package sessionproc

import (
	"sync/atomic"
	"time"
)

// tick is how far behind the coarse clock may be.
const tick = 20 * time.Millisecond

// clock is a time that costs one atomic load. A loop of the table advances it.
type clock struct{ now atomic.Int64 } // since epoch

func (c *clock) advance() { c.now.Store(int64(time.Since(epoch))) }

// in returns the time after d from now. Short ones are exact.
func (c *clock) in(d time.Duration) time.Time {
	if d < time.Second {
		return time.Now().Add(d)
	}
	return epoch.Add(time.Duration(c.now.Load()) + d)
}
