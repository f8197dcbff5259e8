package node

import (
	"time"

	"github.com/sessionproc/sessionproc/node/ownership"
)

// retry says again what is waited for, until the driver stops.
func (d *driver) retry() {
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
		d.mu.Lock()
		if !d.closed {
			if d.ageLocked() {
				d.viewLocked()
			}
			d.askAgainLocked()
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
		timer.Reset(interval)
	}
}

// sayAgain says again what is waited for: see Machine.Retry. It goes by the partitions
// that wait for anything, a few under one lock.
func (d *driver) sayAgain(all bool) (some bool) {
	for from := 0; from < len(d.parts); from += turnsAtOnce {
		d.mu.Lock()
		for part := from; part < min(from+turnsAtOnce, len(d.parts)) && !d.closed; part++ {
			if d.m.Idle(part) {
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
	d.turn(farewell, func(m *ownership.Machine) []ownership.Effect {
		effects := m.Farewell()
		some = some || len(effects) > 0
		return effects
	})
	return some
}
