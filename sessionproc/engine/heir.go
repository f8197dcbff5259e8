package engine

import (
	"slices"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// meetOther decides between the session and a copy of another kind. Such a copy exists if both
// sides of a network partition have started a session under one ID. A non-empty result is the
// reason with which the session must end, so that the copy continues in its place.
func (p *process) meetOther(o *process) sessionproc.Reason {
	p.mu.Lock()
	mine, theirs := p.versionLocked(), o.versionLocked()
	p.mu.Unlock()
	switch {
	case mine.Covers(theirs):
		p.sees(mine.Join(theirs))
		return ""
	case mine.ends(theirs):
		p.sees(mine.Join(theirs))
		o.loses(sessionproc.ReasonTerminated)
		return ""
	case theirs.ends(mine):
		o.ext.past = theirs.Join(mine)
		return sessionproc.ReasonTerminated
	case theirs.Covers(mine):
		o.ext.past = theirs.Join(mine)
		return sessionproc.ReasonLost // the session had ended, and no node has said why
	}
	p.table().conflicts.Add(1)
	p.traceConflict(false)
	p.logger().Warn("two copies of a session have met that are of different kinds", "other", o.Kind.Name)
	if p.wins(o) {
		p.sees(mine.Join(theirs))
		o.loses(sessionproc.ReasonConflict)
		return ""
	}
	o.ext.past = theirs.Join(mine)
	return sessionproc.ReasonConflict
}

// loses ends a copy that was never in the table. No goroutine knows it, so it needs no lock.
func (p *process) loses(reason sessionproc.Reason) {
	p.phase = phaseGone
	end := &ending{id: p.ID, incarnation: p.incarnationLocked(), reason: reason, at: p.table().clock.now.Load()}
	if p.ext.publisher != nil {
		end.publisher.events = p.ext.publisher.events
	}
	p.table().ends.add(end)
	if p.queued > 0 {
		p.logger().Warn("casts are lost that came with a copy of a session which does not go on", "count", p.queued)
	}
	p.cancelTasks()
	p.tellLoser(stateOf(p), reason)
	p.countEnd(reason)
}

// makeWay ends the session in its own goroutine, so that a copy of another kind, the first of
// others, takes its place; vanish does that. Requests that come meanwhile are retried and then
// find the copy.
func (p *process) makeWay(reason sessionproc.Reason, others []*process) {
	p.mu.Lock()
	p.ext.others = append(others, p.ext.others...)
	queue, cur := p.beginEndLocked(reason, nil)
	p.ext.moved, p.ext.gone = true, p.table().cfg.moving()
	p.leaveTasksLocked(false)
	p.mu.Unlock()
	p.drop(queue, cur, core.Outcome{Err: interruption(reason)})
}

// takeHeir returns the copy that continues in place of a session that ends, or nil: one that waits
// to meet it and whose end this is not. From now on Meet adds no more copies. When the node itself
// closes, no copy continues.
func (p *process) takeHeir() *process {
	p.mu.Lock()
	x := p.extra()
	x.leaves = true
	others, reason := x.others, x.reason
	x.others = nil
	mine := p.versionLocked()
	if reason == sessionproc.ReasonTerminated {
		mine = mine.terminated()
	}
	p.mu.Unlock()
	var heirs, rest []*process
	for _, o := range others {
		if o.endsWith(mine, reason) {
			rest = append(rest, o)
		} else {
			heirs = append(heirs, o)
		}
	}
	discard(rest)
	if heirs == nil {
		return nil
	}
	heir := heirs[0]
	heir.surviveLocked(mine)
	if heir.ext.leftOver {
		heir.renewLocked()
	}
	heir.ext.others = append(heir.ext.others, heirs[1:]...)
	return heir
}

// endsWith reports whether a copy that waits to meet a session ends with it. mine is what the session
// has seen at its end.
func (o *process) endsWith(mine Version, reason sessionproc.Reason) bool {
	return reason == sessionproc.ReasonClosed || reason == abrupt ||
		o.ext.renewed == nil && mine.Overrules(o.versionLocked())
}

// hasHeirLocked reports whether takeHeir would find a copy that goes on.
func (p *process) hasHeirLocked() bool {
	mine, reason := p.versionLocked(), p.ext.reason
	if reason == sessionproc.ReasonTerminated {
		mine = mine.terminated()
	}
	return slices.ContainsFunc(p.ext.others, func(o *process) bool { return !o.endsWith(mine, reason) })
}

// leaveTo replaces a session that ends by another copy of it, in one step under the lock of the
// partition: the ID is never missing from the table, so no start can take it. If the session is
// sealed for a move, the copy is sealed in its place and moves. The lock order is that of process.
func (p *process) leaveTo(heir *process) {
	t, pt := p.table(), &p.table().parts[p.part]
	t.count.Add(1)
	pt.mu.Lock()
	p.mu.Lock()
	heir.mu.Lock()
	if s := p.ext.sealing; s != nil && !s.reported {
		p.ext.sealing = nil
		s.was = heir.phase
		heir.phase, heir.ext.sealing = phaseSealed, s
	}
	p.phase, p.ext.replaced, p.ext.moved, p.ext.gone = phaseGone, true, true, t.cfg.moving()
	pt.m[p.ID] = heir
	pt.mu.Unlock()
	p.mu.Unlock()
	start := heir.arriveLocked()
	heir.mu.Unlock()
	if start {
		t.workers.run(heir, nil)
	}
}

// discard drops copies that do not continue.
func discard(copies []*process) {
	for _, o := range copies {
		(&Restored{o}).Discard()
	}
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
	p.ext.past = mine.Merge(theirs)
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
