package sessionproc

// meetOther decides between the session and a copy of another kind, which has come
// about when both sides of a partition have started one under the same ID. A reason is
// why the session ends and the copy goes on in its place; "": the session goes on.
func (p *process) meetOther(o *process) Reason {
	p.mu.Lock()
	mine, theirs := p.versionLocked(), o.versionLocked()
	p.mu.Unlock()
	both := mine.Join(theirs)
	switch {
	case mine.Covers(theirs):
		p.sees(both)
		return ""
	case mine.ends(theirs):
		p.sees(both)
		o.loses(ReasonTerminated)
		return ""
	case theirs.ends(mine):
		o.ext.past = both
		return ReasonTerminated
	case theirs.Covers(mine):
		o.ext.past = both
		return ReasonLost // it had ended, and nobody has said why
	}
	p.table.conflicts.Add(1)
	p.traceConflict(false)
	p.logger().Warn("two copies of a session have met that are of different kinds", "other", o.kind.name)
	if p.wins(o) {
		p.sees(both)
		o.loses(ReasonConflict)
		return ""
	}
	o.ext.past = both
	return ReasonConflict
}

// loses ends a copy that has never been in the table.
func (p *process) loses(reason Reason) {
	p.phase = phaseGone
	end := &ending{id: p.id, incarnation: p.incarnationLocked(), reason: reason, at: p.table.clock.now.Load()}
	if p.ext.publisher != nil {
		end.publisher.events = p.ext.publisher.events
	}
	p.table.ends.add(end)
	if p.queued > 0 {
		p.logger().Warn("casts are lost that came with a copy of a session which does not go on", "count", p.queued)
	}
	p.tellLoser(stateOf(p), reason)
	p.countEnd(reason)
}

// yield has the session end in its own goroutine, and a copy of another kind, the
// first of others, take its place.
func (p *process) makeWay(reason Reason, others []*process) {
	p.mu.Lock()
	p.ext.others = append(others, p.ext.others...)
	queue, cur := p.beginEndLocked(reason, nil)
	p.ext.moved, p.ext.gone = true, p.table.cfg.moving() // who comes now asks again, and finds the other one
	p.mu.Unlock()
	p.drop(queue, cur, outcome{err: reason.err()})
}

// takeHeir returns a copy of a session that ends, which it has not met and whose end it
// is not; nil: there is none. From now on it meets no more.
func (p *process) takeHeir() *process {
	p.mu.Lock()
	x := p.extra()
	x.leaves = true
	others, reason := x.others, x.reason
	x.others = nil
	mine := p.versionLocked()
	if reason == ReasonTerminated {
		mine = mine.terminated()
	}
	p.mu.Unlock()
	var heirs, rest []*process
	for _, o := range others {
		over := reason == ReasonClosed || reason == abrupt
		if over || o.ext.renewed == nil && mine.Overrules(o.versionLocked()) {
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
	heir.ext.others = append(heir.ext.others, heirs[1:]...)
	return heir
}

// leaveTo puts another copy of a session that ends in its place, as that never leaves
// the table. If the session is on its way to another node, the copy goes there.
func (p *process) leaveTo(heir *process) {
	t, pt := p.table, &p.table.parts[p.part]
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
	pt.m[p.id] = heir
	pt.mu.Unlock()
	p.mu.Unlock()
	start := heir.arriveLocked()
	heir.mu.Unlock()
	if start {
		t.workers.run(heir, nil)
	}
}

// findLocked finds a session and locks it. One that has just been replaced by another
// copy of itself is passed over.
func (t *Table) findLocked(part int, id string) *process {
	for {
		p := t.find(part, id)
		if p == nil {
			return nil
		}
		p.mu.Lock()
		if p.ext == nil || !p.ext.replaced {
			return p
		}
		p.mu.Unlock()
	}
}

// otherKind is what a request gets that is for a session of another kind. While one can
// be on its way here, it has to ask again: that may be the one that goes on.
func (p *process) otherKind(asked string) error {
	t := p.table
	p.mu.Lock()
	x := p.ext
	meets := x != nil && (x.others != nil || p.phase >= phaseEnding && x.moved)
	p.mu.Unlock()
	if meets || t.cfg.Gate != nil && !t.cfg.Gate.Settled(int(p.part), p.id) {
		return t.cfg.moving()
	}
	return p.renewedOr(wrongKind(p.kind, asked))
}

// discard drops copies that do not go on.
func discard(copies []*process) {
	for _, o := range copies {
		(&Restored{o}).Discard()
	}
}
