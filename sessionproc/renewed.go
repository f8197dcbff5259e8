package sessionproc

import "time"

// renewed is what a session leaves under its old ID when it gets a new one: for a
// while whatever comes for that ID gets ErrRenewed, and no session can be started
// under it. It moves with its partition like a session, and wins over every other
// copy of it.
type renewed struct {
	newID string
	until time.Time
	timer *time.Timer
}

// savedRenewed is a renewed in a snapshot.
type savedRenewed struct {
	ID   string
	Left time.Duration
}

// becomeRenewed ends a sealed session that goes on under another ID.
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
		p.table.workers.run(p, nil)
	}
}

// remains is what is to be answered of a session that has become a mark.
type remains struct {
	queue *envelope
	polls []*Inbound
	act   *handlerCtx
}

// markLocked takes everything from the session but its ID and version. Its
// goroutine does not run, or is the caller.
func (p *process) markLocked(newID string, until time.Time) remains {
	x := p.extra()
	x.timers.stop()
	for w := range x.watches {
		w.stop()
	}
	x.reason, x.renewed = ReasonRenewed, &renewed{newID: newID, until: until}
	p.rememberLocked(outcome{})
	last := remains{p.takeAllLocked(), p.takePollsLocked(), p.act}
	x.timers, x.watches, x.publisher, x.sealing, x.arrives, x.reason = nil, nil, nil, nil, 0, ""
	x.setUnknown(nil)
	x.restart, x.labels, p.keeps = nil, nil, false
	x.messages, p.paced, x.ending = nil, false, nil // what it published last Table.ends has
	if p.expiry != nil {
		p.table.wheel.remove(p.expiry)
	}
	p.state, p.act = nil, nil
	p.changes++
	return last
}

// leaveLife answers what waited for a session that has become a mark.
func (p *process) leaveLife(last remains) {
	p.table.release(p.kind)
	p.table.marks.Add(1)
	p.drop(last.queue, handling{}, outcome{err: ErrRenewed})
	dropPolls(last.polls, errMet)
	if last.act != nil {
		last.act.end(endedCanceled)
	}
}

// armRenewedLocked has the mark vanish in time.
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
	if m.timer != nil { // it has come to be one while it was sealed
		m.timer.Stop()
	}
}

// releaseID takes the mark out of the table: its time is over. One that is sealed
// has its timer set anew when it is resumed.
func (p *process) releaseID() {
	p.mu.Lock()
	switch {
	case p.phase != phaseRenewed:
		p.mu.Unlock()
		return
	case p.running: // it meets another copy
		p.ext.renewed.timer.Reset(tick)
		p.mu.Unlock()
		return
	}
	p.phase, p.running, p.ext.ended = phaseEnding, true, true
	p.mu.Unlock()
	p.vanish(outcome{err: ErrNotFound})
}

// meetRenewed joins two copies of which one or both have been renewed. What the
// other one has changed since is lost.
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
	p.table.conflicts.Add(1)
	p.logger().Warn("a copy of a session has met that it has been renewed; its changes are lost")
	p.tellLoser(loser, ReasonConflict)
}

// servePoll answers a poll of the old ID: to those who knew the session it has
// ended, and they get what it published last. A watch that has just begun is told the
// same.
func (m *renewed) servePoll(p *process, in *Inbound) {
	at := in.ask.at
	if watch := in.ask.renewal && in.Method == ""; at.IsZero() && !watch {
		in.Answer.Fail(ErrRenewed, false, false)
		return
	}
	end := p.table.ends.find(p.id, at.Incarnation)
	if end == nil {
		end = &ending{incarnation: at.Incarnation, reason: ReasonRenewed, newID: m.newID}
	}
	in.Answer.Reply(end.reply(in.Method, in.ask), true)
}

// renewedOr is ErrRenewed if that is what the session's ID gets, else err.
func (p *process) renewedOr(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ext != nil && p.ext.renewed != nil {
		return ErrRenewed
	}
	return err
}
