package ownership

import (
	"slices"
	"strings"
)

// countPeers sets the tally.
func (t *turn) countPeers() {
	t.tally = tally{}
	for i := range t.peers {
		q := &t.peers[i]
		switch q.ask {
		case asked:
			t.tally.asked++
		case promised:
			t.tally.promised++
		case pulling:
			t.tally.pulling++
		case done, recovering:
			if t.keeps {
				t.tally.dirty++
			}
		}
		if q.acc.len()+q.kept.len() > 0 {
			t.tally.loose++
		}
	}
}

// peer returns the peer with that name, or nil. The pointer is valid until the
// next call of meet.
func (p *partition) peer(name string) *peer {
	i, ok := slices.BinarySearchFunc(p.peers, name, func(q peer, n string) int { return strings.Compare(q.name, n) })
	if !ok {
		return nil
	}
	return &p.peers[i]
}

// meet returns the peer with that name, and adds it if there is none. Earlier
// pointers to peers become invalid.
func (p *partition) meet(name string) *peer {
	i, ok := slices.BinarySearchFunc(p.peers, name, func(q peer, n string) int { return strings.Compare(q.name, n) })
	if !ok {
		p.peers = slices.Insert(p.peers, i, peer{name: name})
	}
	return &p.peers[i]
}

// entry returns the peer if this node asks it under id. Answers to older claims
// get nil.
func (p *partition) entry(name string, id uint64) *peer {
	if q := p.peer(name); q != nil && q.ask != unasked && q.id == id {
		return q
	}
	return nil
}

// set begins to ask the peer under id, or stops asking it. All that the peer
// has answered under the old id is void. Confirmed sessions are forgotten:
// under another id this node refuses a repeated Transfer anyway.
func (q *peer) set(to state, id uint64) {
	q.ask, q.id, q.round, q.filter, q.absent, q.kept = to, id, 0, "", nil, roll[Kept]{}
	q.acc.dropThose(func(a *accepted) bool { return a.confirmed })
}

// accepted returns the record of a session that was taken from the peer, or nil.
func (q *peer) accepted(session string) *accepted { return q.acc.find(session) }

// answered reports whether the peer can send no copy of session any more under
// its claim, and none stays there. While the peer is pulling, four facts prove
// that: its filter lacks the session, it has answered Absent, the session was
// taken from it under this very id, or it is done. In state promised nothing
// counts yet: this node does not hold the token.
//
// Where standbys are kept, the peer must have reported its own, all of them or the
// session's: its filter is of copies, and another node may write a standby at it until
// it reports.
func (q *peer) answered(session string, standbys bool) bool {
	if q.kept.find(session) != nil {
		return false
	}
	if standbys {
		return q.ask == clean || q.ask >= pulling && contains(q.absent, session)
	}
	if q.ask != pulling {
		return q.ask == done
	}
	if contains(q.absent, session) || q.filter.lacks(session) {
		return true
	}
	a := q.accepted(session)
	return a != nil && a.id == q.id
}

// full reports whether the token is here, and so is every copy that was
// elsewhere, except those that stay there. Every standby is known.
func (p *partition) full() bool {
	return p.tok == held && p.tally.asked+p.tally.promised+p.tally.pulling+p.tally.dirty == 0
}

// fullFor reports whether every copy of session that may run is here. If so, a
// session that is not here does not exist, and may be started or denied.
func (t *turn) fullFor(session string) bool {
	if t.tok != held {
		return false
	}
	for i := range t.peers {
		q := &t.peers[i]
		if q.ask == unasked || q.answered(session, t.keeps) {
			continue
		}
		if !t.on(ruleEvery) && (q.ask == asked || q.ask == promised) {
			continue
		}
		if q.kept.find(session) != nil && !t.on(ruleKept) {
			continue
		}
		return false
	}
	return true
}

// final reports whether fullFor holds and no member has a sealed copy of
// session either.
func (t *turn) final(session string) bool {
	for i := range t.peers {
		if a := t.peers[i].accepted(session); a != nil && !a.confirmed {
			return false
		}
	}
	return t.fullFor(session)
}

// copies reports whether a copy or a tombstone of the partition is here.
func (p *partition) copies() bool {
	return p.running+p.backups+p.sealed.len()+len(p.tombs)+len(p.ends) > 0
}

// cleared reports whether nothing is here except copies that stay here.
func (p *partition) cleared() bool {
	return p.running+p.backups == p.kept.len() && p.sealed.len()+len(p.tombs)+len(p.ends) == 0
}

func findKept(kept []Kept, session string) (int, bool) {
	return slices.BinarySearchFunc(kept, session, func(k Kept, x string) int { return strings.Compare(k.Session, x) })
}
