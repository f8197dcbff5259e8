package engine

import (
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// finishTurn does in the session's goroutine what next found to be due before another message:
// a restart, OnArrive, a merge with other copies, the snapshot of a sealed session, a record, or its
// end.
// goesOn reports that the session runs on, so that run calls next again.
//
// The order matters. A crashed session must have a state before OnArrive or a merge can see one.
// A state arrives before it is merged; in a sealed session it does not arrive here, and join sees
// to it. Copies are merged before the snapshot, which would otherwise carry them along unmerged. A
// record comes before the snapshot, so that answers need not wait for the end of the move. The
// snapshot does not wait for that record.
func (p *process) finishTurn() (goesOn bool) {
	p.mu.Lock()
	if _, record := p.awaitsTrialLocked(); record {
		p.mu.Unlock()
		p.record()
		return true
	}
	if p.ext.restart != nil && p.restartsLocked() {
		p.mu.Unlock()
		return p.restart()
	}
	if p.arrivesLocked() {
		p.mu.Unlock()
		return p.arrive()
	}
	if p.meetsLocked() {
		p.mu.Unlock()
		p.meet()
		return true
	}
	if p.phase < phaseSealed && p.recordDueLocked() || p.phase == phaseSealed && p.ext.records.wantsOne() {
		p.mu.Unlock()
		p.record()
		return true
	}
	if p.phase == phaseSealed {
		s := p.ext.sealing
		p.mu.Unlock()
		return p.giveSnapshot(s)
	}
	if p.phase != phaseEnding { // a record was due, and a message has come that it can wait for
		p.mu.Unlock()
		return true
	}
	reason, last := p.ext.reason, stateOf(p)
	queue := p.takeAllLocked()
	p.mu.Unlock()
	if reason == fencedOff {
		p.drop(queue, handling{}, core.Outcome{Err: p.table().cfg.moving()})
	} else {
		p.dropLater(queue, handling{}, core.Outcome{Err: interruption(reason)})
	}
	p.unseal(interruption(reason))
	if !silent(reason) {
		if err := p.callOnEnd(last, reason); err != nil {
			p.handleFailure(err, nil)
			return false
		}
	}
	p.countEnd(reason)
	p.vanish(core.Outcome{Err: sessionproc.ErrNotFound})
	return false
}

// arrive runs OnArrive in the session's goroutine. OnArrive is not a message: it counts neither as
// use nor as a change. arrive reports false if OnArrive failed; then it has handled the failure.
func (p *process) arrive() bool {
	h := &core.Ctx{Head: &p.Head, Until: p.table().clock.in(p.table().cfg.CallTimeout)}
	p.mu.Lock()
	p.cur = &handling{e: &core.Envelope{Task: arriving{}}, ctx: h, since: p.table().clock.now.Load(), readOnly: true,
		noTouch: true}
	a := p.ext.arrives.arrival()
	p.mu.Unlock()
	if err := p.welcome(h, p.Kind, p.State, a); err != nil {
		p.handleFailure(err, nil)
		return false
	}
	h.End(core.EndedCanceled)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cur, p.ext.arrives = nil, 0
	p.arrivedLocked()
	if p.ext.came != 0 {
		p.settledLocked()
	}
	return true
}
