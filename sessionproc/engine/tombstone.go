package engine

import "github.com/sessionproc/sessionproc/sessionproc"

// A predecessor is an ended session under whose ID another session is about to start.
type predecessor struct {
	id      string
	version Version
}

// Tombstone returns the version of session id, which is ending. It tells which copies of the
// session end with it; see Version.Overrules.
func (t *Table) Tombstone(part int, id string) Version {
	p := t.find(part, id)
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tombstoneLocked()
}

// tombstoneLocked returns the version at the end of the session. Only a termination overrules
// later changes of copies; a session that expired or crashed here may continue in a copy that was
// used since.
func (p *process) tombstoneLocked() Version {
	v := p.allVersionLocked()
	if p.ext != nil && p.ext.reason == sessionproc.ReasonTerminated {
		v = v.terminated()
	}
	return v
}

// Succeed calls begin. A session that begin starts or adopts under id has seen what the session
// had that ended with the given tombstone. There must be one call at a time, and no other start of
// the ID beside it. It serves package node.
func (t *Table) Succeed(id string, tombstone Version, begin func() bool) bool {
	t.ended.Store(&predecessor{id, tombstone})
	defer t.ended.Store(nil)
	return begin()
}

// covered reports whether a session that is about to begin here is one that has ended.
func (t *Table) covered(p *process) bool {
	if end := t.ended.Load(); end != nil && end.id == p.ID && end.version.Covers(p.ext.past) {
		return true
	}
	tombstone := t.former.find(p.ID)
	return tombstone != nil && tombstone.Covers(p.ext.past)
}

// succeed makes a new session, which no other goroutine knows, the successor of an ended one: it has
// seen what that had, so that copies of the ended session are not merged into it. Its incarnation
// number is higher than theirs.
func (p *process) succeed(v Version) {
	x := p.extra()
	x.past = v.bounded().over()
	x.setBefore(x.past)
	if len(v) > 0 {
		p.numberLocked()
	}
	p.changes = 1
}

// Survive records that a tombstone of the same ID did not end the session: the session has seen
// from now on what the tombstone has.
func (r *Restored) Survive(tombstone Version) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.p.surviveLocked(tombstone)
}

func (p *process) surviveLocked(tombstone Version) {
	p.extra().past = p.versionLocked().Join(tombstone)
}

// EndCopy begins the end of session id if a tombstone from another member overrules it. Otherwise
// the session survives the tombstone. The caller must call after once it holds no lock, because
// after answers callers.
func (t *Table) EndCopy(part int, id string, tombstone Version) (after func(), ends bool) {
	p := t.find(part, id)
	if p == nil {
		return func() {}, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	mine, reason := p.allVersionLocked(), sessionproc.ReasonLost // a tombstone does not say why the session ended
	if tombstone.ends(mine) {
		reason = sessionproc.ReasonTerminated
	}
	over := p.phase >= phaseEnding || p.ext != nil && p.ext.ended
	renewed := p.ext != nil && p.ext.renewed != nil
	switch {
	case over:
		return func() {}, true
	case renewed || !tombstone.Overrules(mine) || !p.mayEndLocked(reason): // a renewal overrules other ends
		p.surviveLocked(tombstone)
		return nil, false
	}
	c := p.claimEndLocked(reason, nil)
	return func() { p.goOnEnding(reason, c) }, true
}
