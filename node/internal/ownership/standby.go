package ownership

import "slices"

// writer returns who alone may write the standby of session here, or "" if anybody may.
func (p *partition) writer(session string) string {
	if s := p.fences.find(session); s != nil {
		return s.writer
	}
	if s := p.standbys.find(session); s != nil {
		return s.writer
	}
	return p.lead
}

// mayWrite reports whether from may write the standby of session here, under stamp. That is its writer,
// and also whom the partition is promised to: it may have taken the session over. While nobody recovers
// the partition, whoever the holder asks may still run the session: what it has said before it promised
// does not count, since another holder may have taken the session in between.
func (t *turn) mayWrite(from string, stamp Stamp, session string) bool {
	w := t.writer(session)
	switch {
	case w == from || t.rel.to == from && t.on(ruleRel):
		return true
	case t.tok != none && w != t.self:
		q := t.peer(from)
		return q != nil && q.ask != unasked && (stamp.Promise == q.id || !t.on(ruleRid))
	case w != "" || !t.level(from).present():
		return false
	}
	return t.rel.to == "" || slices.Contains(t.relAsks, from)
}

// writes reports whether a standby of session is here that from has written.
func (p *partition) writes(from, session string) bool {
	s := p.standbys.find(session)
	return s != nil && s.writer == from
}

// stale reports whether what from has said of session under stamp belongs to an earlier claim than the
// last one that was promised to it, or is from before it was rid of its copies. Since then the session may
// have moved and ended.
func (t *turn) stale(from string, stamp Stamp, session string) bool {
	q := t.peer(from)
	if q == nil {
		return stamp.Claim != 0 && t.on(ruleStamp)
	}
	late := stamp.Promise <= q.rid && q.rid > 0 && q.kept.find(session) == nil
	return q.seen != stamp.Claim && t.on(ruleStamp) || late && t.on(ruleRid)
}

// keep makes from the writer of a standby that is here now. A session that stays elsewhere keeps
// its fence, and counts as the holder's: it is not offered.
func (t *turn) keep(session, from string) {
	if t.fences.find(session) != nil && t.rel.to != from {
		if t.standbys.find(session) == nil {
			t.setWriter(session, t.lead)
		}
		return
	}
	t.fences.drop(session)
	t.setWriter(session, from)
}

// isKept reports whether keep would change nothing.
func (t *turn) isKept(session, from string) bool {
	s := t.standbys.find(session)
	if s == nil {
		return false
	}
	if t.fences.find(session) != nil {
		return t.rel.to != from
	}
	return s.writer == from
}

func (p *partition) setWriter(session, writer string) {
	p.forget(session)
	p.standbys.put(standby{session, writer})
	p.countWriter(writer, +1)
}

// forget drops the standby of session, if there is one.
func (p *partition) forget(session string) {
	if s := p.standbys.find(session); s != nil {
		p.countWriter(s.writer, -1)
		p.standbys.drop(session)
	}
}

func (p *partition) countWriter(name string, by int) {
	i := slices.IndexFunc(p.writers, func(w writers) bool { return w.name == name })
	if i < 0 {
		p.writers = append(p.writers, writers{name: name})
		i = len(p.writers) - 1
	}
	if p.writers[i].count += by; p.writers[i].count > 0 {
		return
	}
	if p.writers = slices.Delete(p.writers, i, i+1); len(p.writers) == 0 {
		p.writers = nil
	}
}

// fence makes from the only one that may write a standby of session here, until the next
// promise.
func (t *turn) fence(session, from string) { t.fences.put(standby{session, from}) }

// leadBy makes name the writer of all standbys here, now and in future, but for those that a
// member keeps.
func (t *turn) leadBy(name string, kept []Kept) {
	t.lead, t.fences, t.writers = name, roll[standby]{}, nil
	for s := range t.standbys.all() {
		s.writer = name
	}
	if n := t.standbys.len(); n > 0 {
		t.writers = []writers{{name, n}}
	}
	for _, k := range kept {
		if k.Keeper != t.self {
			t.fence(k.Session, k.Keeper)
		}
	}
}

// foreign reports whether a standby is here that somebody else than the owner writes. The owner
// does not know of it.
func (t *turn) foreign() bool {
	return t.on(ruleOfferStandby) &&
		slices.ContainsFunc(t.writers, func(w writers) bool { return w.name != t.owner })
}

// purge forgets all standbys.
func (t *turn) purge() {
	if t.standbys.len() > 0 {
		t.do(Purge, "")
	}
	t.standbys, t.fences, t.writers = roll[standby]{}, roll[standby]{}, nil
}

// A Verdict is the answer to what a member says about a standby here.
type Verdict uint8

const (
	// Fenced: the sender may not write here, or not any more. Nothing has changed.
	Fenced Verdict = iota
	// Taken: the record is the standby now.
	Taken
	// Cleared: no standby of the session is here any more.
	Cleared
	// Later: this node sees a member that keeps no standbys, and so keeps none for the moment.
	Later
	// NoRoom: the driver has no room for another standby, and has not called Record.
	NoRoom
	// Unseen: the sender may write here, but its record has not seen what is here. After false deaths that
	// is what another side has acknowledged, and the sender joins it first.
	Unseen
)
