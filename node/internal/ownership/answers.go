package ownership

// Answered takes the answer of a member to what it was told about session: the verdict of its
// Machine.Record or Machine.Discard, and its Machine.Stamp. The answer counts if it is awaited. The
// driver calls Tend afterwards.
//
// Heard and Disobeyed are its two parts. All but a few answers concern the replica alone.
func (m *Machine) Answered(p int, session string, r *Replica, told Say, v Verdict, stamp uint64) []Effect {
	if m.Heard(p, r, told, v, stamp) {
		return m.Disobeyed(p, session, told, v, stamp)
	}
	m.begin()
	return m.out
}

// Heard is Answered as far as the replica is concerned, and a question to the machine. If it
// returns true, the driver calls Machine.Disobeyed too. The partition may have changed in the
// meantime.
func (m *Machine) Heard(p int, r *Replica, told Say, v Verdict, stamp uint64) (disobeyed bool) {
	i, ok := r.find(told.To)
	if !ok || !r.members[i].waits.is(told) {
		return false
	}
	t := turn{shared: &m.shared, partition: &m.parts[p]}
	s := &r.members[i]
	s.waits = Say{Stamp: told.Stamp}
	switch v {
	case Taken:
		r.setHolds(s, true)
		s.acked = max(s.acked, told.Seq)
	case Cleared:
		if told.Stamp.Claim == t.my(told.To) || !t.on(ruleClearStamp) {
			r.setHolds(s, false)
			s.acked = 0
		}
	case Later:
		s.later = true
	case NoRoom:
		s.full, r.aim = true, aim{}
	case Fenced:
		if t.asksFenced(told, stamp) || t.learns(told.To, stamp) {
			return true
		}
		s.later = true // it would refuse the same again under this stamp
	case Unseen:
		s.later = true
		return t.seeks(told) || t.asksFenced(told, stamp)
	}
	return false
}

// Disobeyed is Answered as far as the partition is concerned: the answer was Fenced or Unseen, see Heard.
//
// Where a member that has not reported its standbys has one that the session has not seen, it is asked for that
// one, ahead of the others. Its report could come too late: not before all members are rid of their copies, which
// a member is of this session only when its standbys are made.
func (m *Machine) Disobeyed(p int, session string, told Say, v Verdict, stamp uint64) []Effect {
	m.begin()
	t := m.turn(p)
	switch {
	case v == Unseen && t.seeks(told):
		if q := t.peer(told.To); !contains(q.absent, session) {
			t.send(q.name, Message{Kind: Find, ID: q.id, Session: session})
		}
	case t.asksFenced(told, stamp):
		t.askAgain(told.To)
	}
	t.stamps(told.To, stamp)
	m.finishTurn(t)
	return m.out
}

// seeks reports whether a member that has not reported its standbys is to be asked for a single one.
func (t *turn) seeks(told Say) bool {
	q := t.peer(told.To)
	return t.on(ruleUnseen) && t.tok == held && q != nil && told.Stamp.Claim == q.my &&
		(q.ask == pulling || q.ask == done || q.ask == recovering)
}

// asksFenced reports whether to ask a member again that does not obey, under the latest claim of
// this node that it has promised: it obeys another one.
func (t *turn) asksFenced(told Say, stamp uint64) bool {
	my := t.my(told.To)
	if told.Stamp.Claim != my || stamp > my || t.owner != t.self || t.tok != held {
		return false
	}
	q := t.peer(told.To)
	return (q == nil || q.ask == unasked || q.ask >= done) && t.level(told.To).present()
}

// Retry asks again those members that keep no standbys for the moment, or have refused.
func (r *Replica) Retry() {
	for i := range r.members {
		r.members[i].later = false
	}
}

// Room asks again those members that had no room.
func (r *Replica) Room() {
	for i := range r.members {
		if r.members[i].full {
			r.members[i].full, r.aim = false, aim{}
		}
	}
}

// Protected reports whether as many members as are to have a standby of the session have one as it is now, be they its
// targets or those before them.
func (r *Replica) Protected() bool {
	n := 0
	for i := range r.members {
		if r.members[i].acked == r.Seq {
			n++
		}
	}
	return n >= r.Standbys
}

// Broken says that no answer will come from a member: the connection is lost.
func (r *Replica) Broken(from string) {
	if i, ok := r.find(from); ok {
		r.members[i].waits = Say{}
	}
}

// Buried reports that the tombstone of session is buried (Progress): the driver forgets it. It
// returns false if the session has been started again or is on its way.
func (m *Machine) Buried(p int, session string) (ok bool, effects []Effect) {
	m.begin()
	t := m.turn(p)
	if ok = contains(t.ends, session); ok {
		t.ends = dropName(t.ends, session)
	}
	m.finishTurn(t)
	return ok, m.out
}
