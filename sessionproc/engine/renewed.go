package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A renewed is the mark that a session leaves under its old ID when it gets a new one. For
// renewedFor requests for the old ID get ErrRenewed, and no session can be started under it. The
// mark moves with its partition like a session. Where it meets a copy of the session under the old
// ID, the mark continues and the copy ends, whatever the copy has changed: otherwise an ID that a
// login has made worthless would work again.
type renewed struct {
	newID string
	until time.Time
	timer *time.Timer
}

// A savedRenewed is a renewed in a snapshot.
type savedRenewed struct {
	ID   string
	Left time.Duration
}

// becomeRenewed turns a sealed session into a mark, once the session continues under another ID.
func (p *process) becomeRenewed(s *sealing, newID string) {
	p.mu.Lock()
	if p.phase != phaseSealed || p.ext.sealing != s {
		p.mu.Unlock()
		return
	}
	p.phase = phaseRenewed
	last := p.markLocked(newID, time.Now().Add(renewedFor))
	p.armRenewedLocked()
	meets := p.ext.others != nil
	p.running = meets
	p.mu.Unlock()
	p.leaveLife(last)
	if meets {
		p.table().workers.run(p, nil)
	}
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
	x.reason, x.renewed = sessionproc.ReasonRenewed, &renewed{newID: newID, until: until}
	p.rememberLocked(core.Outcome{})
	last := remains{p.takeAllLocked(), p.takePollsLocked(), p.act}
	x.timers, x.watches, x.publisher, x.sealing, x.arrives, x.reason = nil, nil, nil, nil, 0, ""
	x.setUnknown(nil)
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

func (m *renewed) stop() {
	if m.timer != nil { // nil if the session became a mark while it was sealed
		m.timer.Stop()
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

// meetRenewed resolves two copies of which one or both are marks of a renewed ID. A mark remains.
// If a copy has changes that the mark has not seen, they are lost, and the copy's OnEnd is called
// with ReasonConflict.
func (p *process) meetRenewed(o *process) {
	p.mu.Lock()
	mine, theirs := p.versionLocked(), o.versionLocked()
	loser := stateOf(o)
	was := p.ext.renewed
	var last remains
	if was == nil {
		loser = stateOf(p)
		sealed := p.ext.sealing
		last = p.markLocked(o.ext.renewed.newID, o.ext.renewed.until)
		if p.phase == phaseSealed {
			p.ext.sealing, sealed.was = sealed, phaseRenewed
		} else {
			p.phase = phaseRenewed
			p.armRenewedLocked()
		}
	}
	p.ext.past = mine.Join(theirs)
	p.mu.Unlock()
	if was == nil {
		p.leaveLife(last)
	}
	if loser.state == nil {
		return
	}
	lost := !theirs.Covers(mine)
	if was != nil {
		lost = !mine.Covers(theirs)
	}
	if !lost {
		return
	}
	p.table().conflicts.Add(1)
	p.logger().Warn("a copy of a session has met that it has been renewed; its changes are lost")
	p.tellLoser(loser, sessionproc.ReasonConflict)
}

// servePoll answers a poll of the old ID. For a subscriber that knew the session it has ended: the
// subscriber gets the last published values and ReasonRenewed. So does a watch, even a new one. Any
// other poll gets ErrRenewed.
func (m *renewed) servePoll(p *process, in *Inbound) {
	at := in.ask.at
	if watch := in.ask.renewal && in.Method == ""; at.IsZero() && !watch {
		in.Answer.Fail(sessionproc.ErrRenewed, false, false)
		return
	}
	end := p.table().ends.find(p.ID, at.Incarnation)
	if end == nil {
		end = &ending{incarnation: at.Incarnation, reason: sessionproc.ReasonRenewed, newID: m.newID}
	}
	in.Answer.Reply(end.reply(in.Method, in.ask), true)
}

// renewedOr returns ErrRenewed if the session is a mark of a renewed ID, otherwise err.
func (p *process) renewedOr(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ext != nil && p.ext.renewed != nil {
		return sessionproc.ErrRenewed
	}
	return err
}
