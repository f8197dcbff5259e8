package sessionproc

import (
	"context"
	"math"
	"time"
)

// At casts msg once, at a wall time, to the session whose handler or start function was given ctx: for what is
// to happen at a date, such as the end of an auction, and not after a while. The timer has a name and is
// otherwise as one of AfterNamed: it replaces the session's timer of that name, Session.CancelTimer cancels
// it, and the errors are the same. Location and monotonic reading of at do not matter. A time before 1970
// counts as 1970, and one after the year 2261 as the end of that.
//
// The timer fires when the clock of the node that has the session shows at or later, never before, and in
// all once: in a kind without Replicas at most once, and with Replicas again after a crash only if no record had
// the effect of its message yet. It fires at once if it is overdue: when it is set, when the
// session comes to a node, by a move, a renewal or the crash of its former node, and after a standstill. If the
// clocks of nodes differ, a move shifts it by that much. If a clock is set, or runs faster or slower than the
// monotonic one, the timer follows it within 0.3 s: it fires at once if its time was skipped, and waits longer if
// the clock was set back. What has fired does not fire again when a clock shows at a second time.
//
// A node of a release that lacks At has it as a timer of AfterNamed, with the time that is left when the
// session comes. It remains one when the session moves on.
func (n *Notice[Msg]) At(ctx context.Context, name string, at time.Time, msg Msg) error {
	checkTimerName(name)
	return setTimer(ctx, n, name, when{at: wallNanos(at)}, msg)
}

// wallNanos returns a time in ns since 1970, at least 1.
func wallNanos(at time.Time) int64 {
	switch {
	case at.Before(time.Unix(0, 1)):
		return 1
	case at.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return at.UnixNano()
}
