package sessionproc

import (
	"context"
	"math"
	"time"
)

// At casts msg once, at a wall time, to the session whose handler or start function was given ctx. It is for what
// happens at a date, such as the end of an auction, while After is for what happens after a while. Otherwise the
// timer is like one of AfterNamed: it has a name, replaces the session's timer of that name, is cancelled by
// Session.CancelTimer, and At returns the same errors. The location and the monotonic reading of at do not matter.
// Times before 1970 count as 1970, and times after 2261 as the end of 2261.
//
// The timer fires when the clock of the session's node shows at or later, and never before. It fires at once if it
// is overdue: when it is set, when the session comes to a node (by a move, a renewal, or after the crash of its
// node), and after a standstill. Where the clocks of two nodes differ, a move shifts the timer by the difference.
// If a clock is set or drifts, the timer follows within 0.3 s: it fires at once if its time was skipped, and waits
// longer if the clock was set back.
//
// It fires once: a timer that has fired does not fire again, whatever a clock shows later. As with all timers,
// there is one exception. After the crash of a node a kind with Replicas handles the message again if no record
// had its effect yet.
//
// A node of a release that lacks At treats the timer as one of AfterNamed, with the time that was left when the
// session came. The timer stays one of AfterNamed when the session moves on.
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
