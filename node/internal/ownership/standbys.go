package ownership

import "slices"

// Record decides about a record that from has sent under stamp for the standby of session. covers
// says that it has seen all that the standby here has, and any copy of the session here; and if that
// copy is not on its way to another member, more than it. If the verdict is Taken, the driver replaces
// the standby before it answers.
func (m *Machine) Record(p int, from string, stamp Stamp, session string, covers bool) (Verdict, []Effect) {
	v, changes := m.MayRecord(p, from, stamp, session, covers)
	m.begin()
	if changes {
		t := m.turn(p)
		t.keep(session, from)
		m.finishTurn(t)
	}
	return v, m.out
}

// MayRecord is Record as a question. If changes, the machine has to note the answer, and it counts
// only once Record has given it. Usually nothing changes, as the sender has written the standby
// before: then v counts.
func (m *Machine) MayRecord(p int, from string, stamp Stamp, session string, covers bool) (v Verdict, changes bool) {
	t := turn{shared: &m.shared, partition: &m.parts[p]}
	switch {
	case !t.keeps:
		return Later, false
	case t.stale(from, stamp, session):
		return Fenced, false
	case covers && t.fences.len() == 0 && t.writes(from, session):
		return Taken, false // as below, with one look at the standbys
	case !t.mayWrite(from, stamp, session):
		return Fenced, false
	case !covers:
		return Unseen, false
	}
	return Taken, !t.isKept(session, from)
}

// Discard decides about the wish of from, under stamp, that the standby of session be forgotten:
// it is not needed, or its session has ended (Bury). covers says that the version that from names
// has seen all that the standby has. If the verdict is Cleared, the driver forgets the standby.
//
// A standby is given up in no other way: not when it is reported, nor when it gets old, nor when
// its writer dies.
func (m *Machine) Discard(p int, from string, stamp Stamp, session string, covers bool) (Verdict, []Effect) {
	m.begin()
	t := m.turn(p)
	if t.stale(from, stamp, session) {
		return Fenced, m.out
	}
	if t.rel.to == from {
		t.fences.drop(session) // of its keeper: the holder has the session now
	}
	if t.keeps && t.standbys.find(session) != nil {
		w := t.writer(session)
		if !covers || w != from && w != "" && t.on(ruleWriter) {
			return Fenced, m.out
		}
		t.forget(session)
	} else if t.lead == "" && t.tok == none {
		t.lead = from
	}
	m.finishTurn(t)
	return Cleared, m.out
}

// Stamp returns the claim of a member that this node has promised last. It goes with each verdict.
func (m *Machine) Stamp(p int, member string) uint64 {
	if q := m.parts[p].peer(member); q != nil {
		return q.seen
	}
	return 0
}

// Promoted reports that the standby of session, which is here or was reported, runs here now, or
// has been joined with the copy that runs here. ended says that the result is a tombstone. Until
// then nothing is acknowledged of a session that runs beside a standby. The driver joins the two
// after RunBackups, and also when it takes a copy (Accept) that has seen all that the standby has.
func (m *Machine) Promoted(p int, session string, ended bool) []Effect {
	m.begin()
	t := m.turn(p)
	t.forget(session)
	t.setEnd(session, ended)
	m.finishTurn(t)
	return m.out
}

// Standbys returns the number of standbys of a partition here.
func (m *Machine) Standbys(p int) int { return m.parts[p].standbys.len() }

// Awaits reports whether a report of a member under id and round counts: that of session, or of
// all if session is "".
func (m *Machine) Awaits(p int, from string, id, round uint64, session string) bool {
	return m.parts[p].entry(from, id).awaits(round, session)
}

// Reported says that the report of a member has arrived completely, or if session is not "" only
// its answer about that one, which it has a standby of. The driver has noted the standbys in it:
// RunBackups concerns them too.
func (m *Machine) Reported(p int, from string, id, round uint64, session string) []Effect {
	m.begin()
	t := m.turn(p)
	t.reported(from, id, round, session)
	m.finishTurn(t)
	return m.out
}

// Owes reports whether Secured would say anything: a member waits for it.
func (m *Machine) Owes(p int, session string) bool {
	part := &m.parts[p]
	if part.tally.loose == 0 {
		return false
	}
	return slices.ContainsFunc(part.peers, func(q peer) bool {
		a := q.accepted(session)
		return a != nil && a.owed
	})
}

// Secured reports that all standbys of session are made, or that it is not here any more. The
// member that it was taken from may forget it now.
func (m *Machine) Secured(p int, session string) []Effect {
	m.begin()
	t := m.turn(p)
	for i := range t.peers {
		q := &t.peers[i]
		if a := q.accepted(session); a != nil && a.owed {
			a.owed = false
			t.tell(q.name, Message{Kind: Active, ID: a.id, Session: session})
		}
	}
	m.finishTurn(t)
	return m.out
}
