package ownership

import "slices"

// want asks each member that still sends, and that may have session, to send it
// next. Who has not reported its standbys reports this one.
func (t *turn) want(session string) {
	if t.tok != held {
		return
	}
	for i := range t.peers {
		q := &t.peers[i]
		sends := q.ask == pulling || t.keeps && (q.ask == done || q.ask == recovering)
		if sends && q.kept.find(session) == nil && !q.answered(session, t.keeps) {
			t.send(q.name, Message{Kind: Find, ID: q.id, Session: session})
		}
	}
}

// mayDeny reports whether this node can make no copy under the given claim of
// from any more, so that Absent stays true once sent.
func (t *turn) mayDeny(from string, id uint64) bool {
	if t.tok != none {
		return false
	}
	q := t.peer(from)
	return t.rel.to == from && t.rel.id == id || q != nil && q.seen == id && !t.keeps
}

// onFind answers a Find if the machine knows the answer, and otherwise asks the driver.
func (t *turn) onFind(from string, m Message) {
	if k := t.kept.find(m.Session); k != nil && t.rel.to == from && t.rel.id == m.ID {
		form := Running
		if k.Backup {
			form = Backup
		}
		t.send(from, Message{Kind: Here, ID: m.ID, Session: m.Session, Form: form})
		return
	}
	if t.keeps && t.tok == none && (t.rel.to != from || t.rel.id != m.ID) && t.on(ruleVoid) {
		t.send(from, Message{Kind: NotYet, ID: m.ID, Flag: true}) // as to Recover
		return
	}
	if t.has(m.Session) || !t.mayDeny(from, m.ID) {
		return
	}
	t.out = append(t.out, Effect{Do: Seek, Partition: t.number, To: from, ID: m.ID, Session: m.Session})
}

// has reports whether a copy is here that the machine knows by name. Running
// copies it knows only as a number.
func (t *turn) has(session string) bool {
	sealed := t.sealed.find(session) != nil
	_, tomb := slices.BinarySearch(t.tombs, session)
	return sealed || tomb || contains(t.ends, session) || t.kept.find(session) != nil
}

// deny answers Absent, if that is true, or reports the standby. What the answer says must stay
// true, so nobody else may write a standby of the session here afterwards.
func (t *turn) deny(to string, id uint64, session string) {
	if t.has(session) || !t.mayDeny(to, id) {
		return
	}
	if t.keeps && t.rel.recovers {
		if t.on(ruleFind) && t.fences.find(session) == nil { // it may have a keeper
			t.fence(session, to)
		}
		if t.standbys.find(session) != nil {
			t.out = append(t.out, Effect{Do: Report, Partition: t.number, To: to, ID: id, Session: session})
			return
		}
	}
	t.send(to, Message{Kind: Absent, ID: id, Session: session})
}

// onFound handles the answer to a Find.
func (t *turn) onFound(from string, m Message) {
	q := t.entry(from, m.ID)
	if q == nil || q.ask != pulling && !(t.keeps && q.ask > pulling) {
		return
	}
	if m.Kind == Absent {
		t.answers(q, m.Session)
	} else if q.ask == pulling {
		t.woke = true
		q.kept.add(Kept{Session: m.Session, Backup: m.Form == Backup})
	}
}

// answers records that a member has no copy of session, and that it has reported its standby.
func (t *turn) answers(q *peer, session string) {
	if len(q.absent) >= maxAbsent {
		q.absent = nil // the driver asks again for forgotten ones
	}
	q.absent = addName(q.absent, session)
	t.woke = true
}

// maxAbsent bounds the sessions of which a peer has answered that it has none.
// The filter of the peer covers most sessions, so few are ever asked for.
const maxAbsent = 1024

// A Place says what a node does with a request for a session that does not run
// on it.
type Place uint8

const (
	// Nowhere: no copy of the session runs. If a backup of it is here, run that.
	// Otherwise the session does not exist: start it, or answer that it is not found.
	Nowhere Place = iota
	// Moved: the request has not run here. The session is at To, or will be.
	Moved
	// NotOwner: the request has not run here. To owns the partition, unless it is "".
	NotOwner
	// Wait: the partition or this session is on its way. Call Machine.Want, and ask
	// again after the effect Wake.
	Wait
	// Unavailable: only a backup exists, and the member To, which has it, cannot hand
	// it over. The session must be neither started nor denied.
	Unavailable
)

// An Answer is the result of Machine.Who.
type Answer struct {
	Place Place
	To    string // a member
}

// who decides where a request goes for a session that does not run here:
//
//	token     condition                            answer
//	any       session is sealed                    Moved to its target
//	held      session stays at a member            Moved there
//	held      only a backup stays at a member      Unavailable
//	held      no other copy can exist (fullFor)    Nowhere
//	held      otherwise                            Wait
//	claiming                                       Wait
//	none      partition is promised                Moved to the claimer
//	none      this node is the owner               Wait, until it may claim
//	none      otherwise                            NotOwner
func (t *turn) who(session string) Answer {
	if s := t.sealed.find(session); s != nil && s.form != Ended {
		return Answer{Moved, s.to}
	}
	if t.tok == held {
		unavailable := ""
		for i := range t.peers {
			q := &t.peers[i]
			switch k := q.kept.find(session); {
			case k == nil || !t.on(ruleKept):
			case !k.Backup:
				return Answer{Moved, q.name}
			case unavailable == "":
				unavailable = q.name
			}
		}
		switch {
		case unavailable != "":
			return Answer{Unavailable, unavailable}
		case t.fullFor(session):
			return Answer{Place: Nowhere}
		}
		return Answer{Place: Wait}
	}
	switch {
	case t.tok == claiming:
		return Answer{Place: Wait}
	case t.rel.to != "":
		return Answer{Moved, t.rel.to}
	case t.owner == t.self:
		return Answer{Place: Wait}
	}
	return Answer{NotOwner, t.owner}
}
