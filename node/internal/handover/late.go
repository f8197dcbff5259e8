package handover

import (
	"context"
	"time"
)

// Lateness finds out that a drain will not be done by its deadline.
type Lateness struct {
	d     *Driver
	next  time.Time // when to look again
	since time.Time // since when it has looked so without a break; zero: it does not
	told  bool
	takes time.Duration
}

// Lateness begins to watch a drain.
func (d *Driver) Lateness() *Lateness { return &Lateness{d: d} }

// Takes is how long the drain takes from when it was certain that it is too late.
func (l *Lateness) Takes() time.Duration { return l.takes }

const (
	lookLate = 100 * time.Millisecond

	// utmostSpeed and utmostBytes are more, per second, than two nodes have moved on any
	// machine.
	utmostSpeed = 1_000_000
	utmostBytes = 10 << 30

	// surelyLate is how many times as long as there is time a drain must take, by its
	// forecast, for so long without a break and without becoming faster. It must also be too
	// late at the speed of its best second in historySpan: a machine that is busy now may not
	// be later.
	surelyLate    = 2
	surelyLateFor = 2 * time.Second
)

// Certain reports whether the deadline of ctx cannot be met. It logs that once.
func (l *Lateness) Certain(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	now := time.Now()
	if !bounded || now.Before(l.next) {
		return false
	}
	first := l.next.IsZero()
	l.next = now.Add(lookLate)
	left := deadline.Sub(now)
	sessions := l.d.table.Len()
	f, sure := l.d.Foresee(sessions), true
	if least := l.d.least(sessions); least > left && (first || left > surelyLateFor) {
		f.Takes = max(f.Takes, least)
	} else {
		sure = l.despairs(now, left, sessions, f)
	}
	if sure && !l.told {
		l.told, l.takes = true, f.Takes
		l.d.env.Log.Error("the drain cannot be done by its deadline", "sessions", sessions,
			"in", left.Round(time.Millisecond), "takes", f.Takes.Round(time.Second))
	}
	return sure
}

// despairs reports whether by its forecasts, of which f is the latest, so many sessions
// will not have moved in the time that is left.
func (l *Lateness) despairs(now time.Time, left time.Duration, sessions int, f Forecast) bool {
	switch {
	case f.Seen == 0 || f.Rises || f.Young || f.Takes < surelyLate*left || left < surelyLateFor:
		l.since = time.Time{}
	case timeFor(sessions, f.Best) < left:
		l.since = time.Time{}
	case l.since.IsZero():
		l.since = now
	default:
		return now.Sub(l.since) >= surelyLateFor
	}
	return false
}

// least is the time that so many sessions take on any machine.
func (d *Driver) least(sessions int) time.Duration {
	tr := &d.traffic
	tr.mu.Lock()
	mean := tr.meanLocked()
	tr.mu.Unlock()
	perSecond := d.bound.perSecond()
	if perSecond == 0 {
		perSecond = utmostBytes
	}
	return max(timeFor(sessions, utmostSpeed), timeFor(sessions, perSecond/max(mean, 1)))
}
