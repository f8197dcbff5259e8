package sessionproc

// predecessor is a session that has ended, and whose ID another one is to be started
// under.
type predecessor struct {
	id      string
	version Version
}

// Tombstone returns the version of session id, which ends, for whoever has to know
// later which copies of it have ended with it: see Version.Overrules.
func (t *Table) Tombstone(part int, id string) Version {
	p := t.find(part, id)
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tombstoneLocked()
}

func (p *process) tombstoneLocked() Version {
	v := p.allVersionLocked()
	if p.ext != nil && p.ext.reason == ReasonTerminated {
		v = v.terminated()
	}
	return v
}

// Succeed calls begin, and a session that it starts under id, or adopts, has seen what
// one had that has ended with the given tombstone. There is one call at a time, with no
// other start of that ID beside it. It serves package node.
func (t *Table) Succeed(id string, tombstone Version, begin func() bool) bool {
	t.ended.Store(&predecessor{id, tombstone})
	defer t.ended.Store(nil)
	return begin()
}

// covered reports whether a session that is about to begin here is one that has ended.
func (t *Table) covered(p *process) bool {
	end := t.ended.Load()
	return end != nil && end.id == p.id && end.version.Covers(p.ext.past)
}

// succeed has a new session, that nobody else knows, have seen what its predecessor
// had: copies of that are not merged with it. It gets a higher number than they have.
func (p *process) succeed(v Version) {
	x := p.extra()
	x.past = v.bounded()
	x.setBefore(x.past)
	if len(v) > 0 {
		p.numberLocked()
	}
	p.changes = 1
}

// Survive has a session that was not ended by a tombstone, though it is of the same ID,
// have seen what that has.
func (r *Restored) Survive(tombstone Version) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.p.surviveLocked(tombstone)
}

func (p *process) surviveLocked(tombstone Version) {
	p.extra().past = p.versionLocked().Join(tombstone)
}

// EndCopy begins the end of session id if a tombstone that has come overrules it: it
// has ended elsewhere. Else the session has seen from now on what the tombstone has.
// What is left of the end is in after, as it may call whoever waits.
func (t *Table) EndCopy(part int, id string, tombstone Version) (after func(), ends bool) {
	p := t.find(part, id)
	if p == nil {
		return func() {}, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	mine, reason := p.allVersionLocked(), ReasonLost // nobody has said why it has ended
	if tombstone.ends(mine) {
		reason = ReasonTerminated
	}
	over := p.phase >= phaseEnding || p.ext != nil && p.ext.ended
	renewed := p.ext != nil && p.ext.renewed != nil
	switch {
	case over:
		return func() {}, true
	case renewed || !tombstone.Overrules(mine) || !p.mayEndLocked(reason): // a renewed one overrules all others
		p.surviveLocked(tombstone)
		return nil, false
	}
	c := p.claimEndLocked(reason, nil)
	return func() { p.goOnEnding(reason, c) }, true
}
