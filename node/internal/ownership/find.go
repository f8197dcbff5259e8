package ownership

import "slices"

// want asks the members that still send for one session.
func (t *turn) want(session string) {
	if t.tok != held {
		return
	}
	for i := range t.peers {
		q := &t.peers[i]
		if q.ask == pulling && q.kept.find(session) == nil && !q.answered(session) {
			t.send(q.name, Message{Kind: Find, ID: q.id, Session: session})
		}
	}
}

// mayDeny: this node can make no copy under a claim of from.
func (t *turn) mayDeny(from string, id uint64) bool {
	if t.tok != none {
		return false
	}
	q := t.peer(from)
	return t.rel.to == from && t.rel.id == id || q != nil && q.seen == id
}

func (t *turn) onFind(from string, m Message) {
	if k := t.kept.find(m.Session); k != nil && t.rel.to == from && t.rel.id == m.ID {
		form := Running
		if k.Backup {
			form = Backup
		}
		t.send(from, Message{Kind: Here, ID: m.ID, Session: m.Session, Form: form})
		return
	}
	if t.has(m.Session) || !t.mayDeny(from, m.ID) {
		return
	}
	t.out = append(t.out, Effect{Do: Seek, Partition: t.number, To: from, ID: m.ID, Session: m.Session})
}

// has: a copy that the machine knows by name is here.
func (t *turn) has(session string) bool {
	sealed := t.sealed.find(session) != nil
	_, tomb := slices.BinarySearch(t.tombs, session)
	return sealed || tomb || t.kept.find(session) != nil
}

func (t *turn) deny(to string, id uint64, session string) {
	if !t.has(session) && t.mayDeny(to, id) {
		t.send(to, Message{Kind: Absent, ID: id, Session: session})
	}
}

func (t *turn) onFound(from string, m Message) {
	q := t.entry(from, m.ID)
	if q == nil || q.ask != pulling {
		return
	}
	t.woke = true
	if m.Kind == Here {
		q.kept.add(Kept{Session: m.Session, Backup: m.Form == Backup})
		return
	}
	if len(q.absent) >= maxAbsent {
		q.absent = nil // what is forgotten is asked again
	}
	q.absent = addName(q.absent, m.Session)
}

// maxAbsent is how many sessions are remembered that a member does not have while it
// sends a partition's. Its filter knows most of them, so that nobody asks.
const maxAbsent = 1024

// Place says what a node does with a request for a session that does not run on it.
type Place uint8

const (
	// Nowhere: the session does not exist: start it, or say that it is not found. If
	// a backup of it is here, run that.
	Nowhere Place = iota
	// Moved: surely not run; the session is at To, or will be.
	Moved
	// NotOwner: surely not run; To should know, if it is not "".
	NotOwner
	// Wait: the partition, or this session, is on its way. Machine.Want, and ask
	// again when Wake comes.
	Wait
	// Unavailable: only a backup exists, and the member To, which has it, cannot hand
	// it over. Neither start the session nor deny it.
	Unavailable
)

// Answer is what Machine.Who says.
type Answer struct {
	Place Place
	To    string // a member
}

// who is the table "who serves" for a session that does not run here.
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
