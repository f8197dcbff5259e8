package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ErrDrainTooLong says that a drain will not be done by its deadline, unless it becomes
// much faster: see Drain.
var ErrDrainTooLong = errors.New("the deadline cannot be met")

// DrainError says what a Drain, or the drain of a Leave, has left. It wraps the reason:
// the error of a ctx that has ended, ErrDrainTooLong, or that no other member serves, or
// none that can have them.
type DrainError struct {
	Sessions int            // that are here
	Kinds    map[string]int // how many of each kind
	Untaken  []string       // kinds, of them, that no member can take
	Stuck    int            // sessions, of them, that wait for a handler to return

	// Causes says by kind why members cannot take sessions, or have refused some.
	Causes map[string]string

	// Continues: the sessions go on moving, until Leave or Close.
	Continues bool
	// Takes is about how long that takes from now on; 0: it is not known.
	Takes time.Duration

	why error
}

// Error says all of that in a sentence.
func (e *DrainError) Error() string {
	parts, reasons := make([]string, 0, len(e.Kinds)+1), []string{fmt.Sprint(e.why)}
	for _, kind := range slices.Sorted(maps.Keys(e.Kinds)) {
		part := fmt.Sprintf("%d of kind %q", e.Kinds[kind], kind)
		switch cause := e.Causes[kind]; {
		case slices.Contains(e.Untaken, kind):
			part += ", which no member can take"
			reasons = append(reasons, fmt.Sprintf("kind %q: %s", kind, cause))
		case cause != "":
			part += ", of which some were refused: " + cause
		}
		parts = append(parts, part)
	}
	if e.Stuck > 0 {
		parts = append(parts, fmt.Sprintf("%d of them wait for a handler to return", e.Stuck))
	}
	what, why := strings.Join(parts, "; "), reasons[0]
	if len(reasons) > 1 {
		why += ": " + strings.Join(reasons[1:], "; ")
	}
	if errors.Is(e.why, ErrDrainTooLong) {
		return fmt.Sprintf("%d sessions cannot move in time (%s) and go on moving, for about %v: %s", e.Sessions, what,
			e.Takes.Round(time.Second), why)
	}
	return fmt.Sprintf("%d sessions could not move in time (%s): %s", e.Sessions, what, why)
}

// Unwrap returns the reason.
func (e *DrainError) Unwrap() error { return e.why }

// left is the error of a drain that has ended with something left, or nil.
func (n *Node) left(why error) error {
	e := &DrainError{Kinds: map[string]int{}, Causes: map[string]string{}, why: why}
	for _, o := range n.leftovers() {
		e.Sessions += o.sessions
		e.Kinds[o.kind] = o.sessions
		if o.nobody {
			e.Untaken = append(e.Untaken, o.kind)
		}
		if o.why != "" {
			e.Causes[o.kind] = o.why
		}
	}
	over := why == errNobody || why == errNoTakers
	switch {
	case e.Sessions == 0 && over: // nothing is left, but for marks of renewed sessions
		return nil
	case e.Sessions == 0:
		return fmt.Errorf("the members that stay do not know one another yet: %w", why)
	}
	e.Stuck = n.driver.stuck()
	if e.Continues = !over; e.Continues {
		e.Takes = n.Progress().Left
	}
	return e
}

// tooLong is the error of a drain whose deadline cannot be met.
func (l *lateness) tooLong() error {
	left := l.n.left(ErrDrainTooLong)
	if e, ok := left.(*DrainError); ok {
		e.Takes = max(e.Takes, l.takes)
	}
	return left
}

// lateness finds out that a drain will not be done by its deadline.
type lateness struct {
	n     *Node
	hasty bool      // the drain is not to be waited for then
	next  time.Time // when to look again
	since time.Time // since when it has looked so without a break; zero: it does not
	told  bool
	takes time.Duration
}

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

// certain reports whether the deadline of ctx cannot be met. It logs that once.
func (l *lateness) certain(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	now := time.Now()
	if !bounded || now.Before(l.next) {
		return false
	}
	first := l.next.IsZero()
	l.next = now.Add(lookLate)
	left := deadline.Sub(now)
	sessions := l.n.table.Len()
	f, sure := l.n.driver.foresee(sessions), true
	if least := l.n.driver.least(sessions); least > left && (first || left > surelyLateFor) {
		f.takes = max(f.takes, least)
	} else {
		sure = l.despairs(now, left, sessions, f)
	}
	if sure && !l.told {
		l.told, l.takes = true, f.takes
		l.n.log.Error("the drain cannot be done by its deadline", "sessions", sessions, "in", left.Round(time.Millisecond),
			"takes", f.takes.Round(time.Second))
	}
	return sure
}

// despairs reports whether by its forecasts, of which f is the latest, so many sessions
// will not have moved in the time that is left.
func (l *lateness) despairs(now time.Time, left time.Duration, sessions int, f forecast) bool {
	switch {
	case f.seen == 0 || f.rises || f.young || f.takes < surelyLate*left || left < surelyLateFor:
		l.since = time.Time{}
	case timeFor(sessions, f.best) < left:
		l.since = time.Time{}
	case l.since.IsZero():
		l.since = now
	default:
		return now.Sub(l.since) >= surelyLateFor
	}
	return false
}

// least is the time that so many sessions take on any machine.
func (d *driver) least(sessions int) time.Duration {
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
