package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// becomeRenewed turns a sealed session into a mark, once the session continues under another ID.
func (p *process) becomeRenewed(s *sealing, newID string) {
	p.mu.Lock()
	if p.phase != phaseSealed || p.ext.sealing != s {
		p.mu.Unlock()
		return
	}
	p.phase = phaseRenewed
	if d := p.ext.records; d != nil {
		d.rests = false
	}
	last := p.markLocked(newID, time.Now().Add(renewedFor))
	p.armRenewedLocked()
	p.madeLocked()
	p.running = p.ext.others != nil || p.Kind.Kept
	start, waiting := p.running, p.takeHeldLocked() // what waits is durable under the new ID
	p.mu.Unlock()
	fail(waiting, nil)
	p.leaveLife(last)
	p.runIf(start)
}

// The remains of a session that has become a mark are what must be answered, without mu.
type remains struct {
	queue *core.Envelope
	polls []*Inbound
	act   *core.Ctx
}

// markLocked removes everything from the session but its ID and version. The session's goroutine
// must not run, or be the caller. The mark counts as one more change, so that its version covers
// every copy of the session that has changed no further.
func (p *process) markLocked(newID string, until time.Time) remains {
	x := p.extra()
	x.timers.stop()
	for w := range x.watches {
		w.stop()
	}
	p.leaveTasksLocked(true)
	x.reason, x.renewed = sessionproc.ReasonRenewed, &renewed{newID: newID, until: until}
	p.rememberLocked(core.Outcome{})
	last := remains{p.takeAllLocked(), p.takePollsLocked(), p.act}
	x.timers, x.watches, x.publisher, x.sealing, x.arrives, x.reason = nil, nil, nil, nil, 0, ""
	x.setUnknown(nil)
	x.setRenewing(nil)
	x.restart, x.labels, p.keeps = nil, nil, false
	x.messages, p.paced, x.ending = nil, false, nil // Table.ends has the last published values
	if p.expiry != nil {
		p.table().wheel.remove(p.expiry)
	}
	p.State, p.act = nil, nil
	p.changes++
	return last
}

// leaveLife answers the remains of a session that has become a mark, and counts it as a mark.
func (p *process) leaveLife(last remains) {
	p.table().release(p.Kind)
	p.table().marks.Add(1)
	p.drop(last.queue, handling{}, core.Outcome{Err: sessionproc.ErrRenewed})
	dropPolls(last.polls, errMet)
	if last.act != nil {
		last.act.End(core.EndedCanceled)
	}
}

// releaseID removes the mark from the table when its time is over. For a sealed mark it does
// nothing; resumeLocked or the target starts the timer again.
func (p *process) releaseID() {
	p.mu.Lock()
	switch {
	case p.phase != phaseRenewed:
		p.mu.Unlock()
		return
	case p.running: // the mark is meeting another copy
		p.ext.renewed.timer.Reset(tick)
		p.mu.Unlock()
		return
	}
	p.phase, p.running, p.ext.ended = phaseEnding, true, true
	p.mu.Unlock()
	p.vanish(core.Outcome{Err: sessionproc.ErrNotFound})
}

// armRenewedLocked starts the timer that removes the mark.
func (p *process) armRenewedLocked() {
	m := p.ext.renewed
	left := max(0, time.Until(m.until))
	if m.timer == nil {
		m.timer = time.AfterFunc(left, p.releaseID)
	} else {
		m.timer.Reset(left)
	}
}
