package engine

import "github.com/sessionproc/sessionproc/sessionproc/internal/core"

// vanish removes a session from the table and answers everything that still waits for it. Its
// goroutine must not run, or be the caller. If another copy of the session waits to meet it, that
// copy takes its place. Otherwise the gate takes part: it may have to note the end for other
// members before the ID is free.
//
// The end of a session that has standbys is recorded first (keepsEnd).
func (p *process) vanish(o core.Outcome) {
	if !p.Kind.Kept || !p.keepsEnd(o) {
		p.leave(o)
	}
}

// leave is vanish once the end of the session is durable, or need not be.
func (p *process) leave(o core.Outcome) {
	t := p.table()
	p.remember(o)
	if heir := p.takeHeir(); heir != nil {
		p.leaveTo(heir)
	} else if p.isFencedOff() {
		o.Err = t.cfg.moving()
		p.remove()
	} else if t.cfg.Gate != nil {
		t.cfg.Gate.Leave(int(p.part), p.ID, p.bury)
	} else {
		p.bury()
	}
	p.gone(o)
}

// gone answers everything that still waits for a session that has left the table. It takes all of
// it under mu and answers without mu. The starts that waited for the end come last: the first of
// them may start a new session under the ID at once.
func (p *process) gone(o core.Outcome) {
	t := p.table()
	p.mu.Lock()
	if p.phase != phaseGone {
		p.rememberLocked(o)
	}
	p.phase = phaseGone
	x := p.extra()
	if !x.moved {
		x.gone = o.Err
	}
	queue, cur, act := p.takeAllLocked(), p.curLocked(), p.act
	p.cur = nil
	starts, timers := p.takeStartsLocked(), x.timers
	onGone := p.takeOnGoneLocked()
	x.timers = nil
	polls, end, watches, mark, others := p.takePollsLocked(), x.ending, x.watches, x.renewed, x.others
	x.watches, x.others = nil, nil
	p.leaveTasksLocked(x.moved || silent(x.reason))
	tell := x.sealing.overLocked(o.Err)
	waiting, why, ended := p.takeHeldLocked(), p.undecidedLocked(o.Err), error(nil)
	if d := x.records; d != nil && d.ends != endDurable {
		ended = why
	}
	p.mu.Unlock()
	tell()

	if p.expiry != nil {
		t.wheel.remove(p.expiry)
	}
	timers.stop()
	for w := range watches {
		w.stop()
	}
	if mark == nil {
		t.release(p.Kind)
	} else {
		mark.stop()
		t.marks.Add(-1)
	}
	discard(others)
	fail(waiting, why)
	p.drop(queue, cur, o)
	tellEnd(polls, end, o)
	if act != nil {
		act.End(core.EndedCanceled)
	}
	t.leave()
	for _, done := range onGone {
		done(ended)
	}
	for _, s := range starts {
		t.decideStart(s)
	}
}
