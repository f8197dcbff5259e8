package engine

import (
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// tick is the interval of the table's loop, and so how far behind the coarse clock may be.
const tick = 20 * time.Millisecond

// A clock is a time that costs one atomic load, for what each message needs: time.Now would be a
// measurable share of a local call. The table's loop advances it every tick.
type clock struct {
	now   atomic.Int64 // monotonic, since epoch
	wall  atomic.Int64 // the same moment by the wall clock, in ns since 1970
	slept atomic.Int64 // in tests: how far the wall clock was set on
}

// advance sets the clock to the present.
func (c *clock) advance() {
	now := time.Now()
	c.now.Store(core.SinceEpoch(now))
	c.wall.Store(c.wallAt(now))
}

// wallAt returns what the wall clock showed at a time, in ns since 1970.
func (c *clock) wallAt(now time.Time) int64 { return now.UnixNano() + c.slept.Load() }

// behind returns how far the clock is behind the present: by the monotonic clock or by the wall
// clock, whichever says more. On some systems the monotonic clock stands still while the machine
// sleeps. The wall clock may be stepped; a step forward looks like a stall, which is harmless.
func (c *clock) behind() time.Duration {
	now := time.Now()
	wall := c.wallAt(now) - c.wall.Load()
	return time.Duration(max(core.SinceEpoch(now)-c.now.Load(), wall))
}

// in returns the time d from now, since epoch. It is exact for a d below a second, where a tick
// would matter.
func (c *clock) in(d time.Duration) int64 {
	if d < time.Second {
		return int64(time.Since(core.Epoch) + d)
	}
	return c.now.Load() + int64(d)
}
