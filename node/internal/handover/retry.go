package handover

import (
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

const (
	firstRetry = 20 * time.Millisecond  // after a change
	lastRetry  = 250 * time.Millisecond // while this node waits for answers
	idleRetry  = 500 * time.Millisecond // otherwise
	// freshFor is how long retries stay at firstRetry after a new view: members learn of it
	// one after another, and each of them may answer differently then.
	freshFor = time.Second
)

// retry says again what is waited for, until the driver stops.
func (d *Driver) retry() {
	timer := time.NewTimer(firstRetry)
	defer timer.Stop()
	var fresh, full time.Time // when something has changed, and when all was said again
	busy := true
	for interval := firstRetry; ; {
		select {
		case <-timer.C:
		case <-d.again:
			interval, fresh, busy = firstRetry, time.Now(), true
			timer.Reset(interval)
			continue
		case <-d.ctx.Done():
			return
		}
		all := time.Since(full) >= lastRetry
		takeover := idleRetry
		d.mu.Lock()
		if !d.closed {
			if d.ageLocked() {
				interval, fresh = firstRetry, time.Now()
				d.viewLocked()
			}
			takeover = d.takeoverLocked()
			d.askAgainLocked()
			d.tellLocked()
		}
		d.unlock()
		busy = d.sayAgain(all) || busy && !all
		d.changing.Store(busy)
		if all {
			full = time.Now()
		}
		if time.Since(fresh) > freshFor {
			interval = min(2*interval, lastRetry)
		}
		if !busy {
			interval = idleRetry
		}
		timer.Reset(min(interval, takeover))
	}
}

// pollFor is how long it takes until the members at which so many sessions of a partition
// stay are asked about them again. Each of them says what has changed by itself; only
// when that is lost it has to be asked for.
func pollFor(sessions int) time.Duration {
	return min(time.Duration(sessions/pollFew)*lastRetry, longestPoll)
}

const (
	pollFew     = 16
	longestPoll = 5 * time.Second
)

// sayAgain says again what is waited for: see Machine.Retry. It goes by the partitions
// that wait for anything, a few under one lock.
func (d *Driver) sayAgain(all bool) (some bool) {
	now := time.Now()
	for from := 0; from < len(d.parts); from += turnsAtOnce {
		d.mu.Lock()
		for part := from; part < min(from+turnsAtOnce, len(d.parts)) && !d.closed; part++ {
			if d.m.Idle(part) || !d.mayPollLocked(part, now) {
				continue
			}
			d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect {
				effects := m.Repeat(part, all)
				some = some || len(effects) > 0
				return effects
			})
		}
		d.unlock()
	}
	d.Turn(farewell, func(m *ownership.Machine) []ownership.Effect {
		effects := m.Farewell()
		some = some || len(effects) > 0
		return effects
	})
	return some
}

// mayPollLocked: there is something to say of a partition but to ask about the sessions
// that stay elsewhere, or it is time for that.
func (d *Driver) mayPollLocked(part int, now time.Time) bool {
	sessions := d.m.Lingers(part)
	if sessions == 0 {
		return true
	}
	pt := &d.parts[part]
	if now.Sub(pt.polled) < pollFor(sessions) {
		return false
	}
	pt.polled = now
	return true
}
