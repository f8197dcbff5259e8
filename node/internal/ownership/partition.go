package ownership

import (
	"slices"
	"strings"
	"sync"
)

// A token says whether this node holds a partition.
type token uint8

const (
	none     token = iota
	claiming       // the node has asked for the token
	held
)

// A partition is the state of one partition at one node, without what all
// partitions share. Its slices are sorted, so that equal states have equal
// contents. The explorer of the tests relies on that, and so do binary
// searches.
type partition struct {
	number  int
	owner   string       // in the present view
	tok     token        // not none excludes a promise: rel.to is "" then
	last    uint64       // the last claim id; a boot never uses one twice in a partition
	rel     release      // the member that the partition is promised to
	peers   []peer       // members that this node has claimed from or promised to, by name
	running int          // copies that run or start, without sealed ones
	backups int          // backups, without sealed ones
	kept    roll[Kept]   // the copies among running and backups that stay here, under rel
	sealed  roll[sealed] // copies on their way to rel.to or an earlier claimer
	tombs   []string     // sessions that ended while an older copy may exist
	tally   tally
}

// A release is a promise that this node has given.
type release struct {
	to     string // the claimer, "" if nothing is promised
	id     uint64 // of the claim
	pulled bool   // the claimer holds the token and has asked for the copies
}

// A sealed is a copy that has stopped running in order to move.
type sealed struct {
	session string
	to      string
	id      uint64
	form    Form
	sent    bool // the last chunk may have left, and only the target decides from now on
}

func (s sealed) sessionID() string { return s.session }

func (s sealed) spare() *sync.Pool { return &spareSealed }

// A tally counts peers by state, so that questions need not loop over them.
// applyRules counts anew in each turn.
type tally struct {
	asked    int
	promised int
	pulling  int
	loose    int // peers from which something was taken, or where something stays
}

// countPeers sets the tally.
func (p *partition) countPeers() {
	p.tally = tally{}
	for i := range p.peers {
		q := &p.peers[i]
		switch q.ask {
		case asked:
			p.tally.asked++
		case promised:
			p.tally.promised++
		case pulling:
			p.tally.pulling++
		}
		if q.acc.len()+q.kept.len() > 0 {
			p.tally.loose++
		}
	}
}

// A state says how far the claim to a member has got. The usual way is from
// asked over promised and pulling to done. askAgain goes back to asked, under a
// new id.
type state uint8

const (
	unasked  state = iota
	asked          // a claim is out
	promised       // the member takes no part any more
	pulling        // the member sends its copies
	done           // the member has no copies except those that stay there
)

// A peer is another member as one partition knows it. It combines two roles:
// the member that this node claims from (ask, id, filter, absent, kept, acc)
// and the member that claims from this node (seen).
type peer struct {
	name   string
	ask    state
	id     uint64         // of the claim in ask
	filter Filter         // the sessions that the peer had when it promised, under id
	absent []string       // sessions that the peer does not have, under id
	kept   roll[Kept]     // sessions that stay at the peer, under id
	seen   uint64         // the highest claim of the peer that was promised here
	acc    roll[accepted] // sessions taken from the peer
}

// An accepted is a session that this node took from a peer. It is remembered
// until the peer has confirmed Active, so that a repeated Transfer is not taken
// twice.
type accepted struct {
	session   string
	id        uint64
	confirmed bool // the peer has answered Forgot
}

func (a accepted) sessionID() string { return a.session }

func (a accepted) spare() *sync.Pool { return &spareAccepted }

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
	q.ask, q.id, q.filter, q.absent, q.kept = to, id, "", nil, roll[Kept]{}
	q.acc.dropThose(func(a *accepted) bool { return a.confirmed })
}

// accepted returns the record of a session that was taken from the peer, or nil.
func (q *peer) accepted(session string) *accepted { return q.acc.find(session) }

// answered reports whether the peer can send no copy of session any more under
// its claim, and none stays there. While the peer is pulling, four facts prove
// that: its filter lacks the session, it has answered Absent, the session was
// taken from it under this very id, or it is done. In state promised nothing
// counts yet: this node does not hold the token.
func (q *peer) answered(session string) bool {
	if q.kept.find(session) != nil {
		return false
	}
	if q.ask != pulling {
		return q.ask == done
	}
	if _, ok := slices.BinarySearch(q.absent, session); ok || q.filter.lacks(session) {
		return true
	}
	a := q.accepted(session)
	return a != nil && a.id == q.id
}

// full reports whether the token is here, and so is every copy that was
// elsewhere, except those that stay there.
func (p *partition) full() bool {
	return p.tok == held && p.tally.asked+p.tally.promised+p.tally.pulling == 0
}

// fullFor reports whether every copy of session that may run is here. If so, a
// session that is not here does not exist, and may be started or denied.
func (t *turn) fullFor(session string) bool {
	if t.tok != held {
		return false
	}
	for i := range t.peers {
		q := &t.peers[i]
		if q.ask == unasked || q.answered(session) {
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
	return p.running+p.backups+p.sealed.len()+len(p.tombs) > 0
}

// cleared reports whether nothing is here except copies that stay here.
func (p *partition) cleared() bool {
	return p.running+p.backups == p.kept.len() && p.sealed.len()+len(p.tombs) == 0
}

func findKept(kept []Kept, session string) (int, bool) {
	return slices.BinarySearchFunc(kept, session, func(k Kept, x string) int { return strings.Compare(k.Session, x) })
}

func addName(names []string, name string) []string {
	i, ok := slices.BinarySearch(names, name)
	if ok {
		return names
	}
	return slices.Insert(names, i, name)
}

func dropName(names []string, name string) []string {
	i, ok := slices.BinarySearch(names, name)
	if !ok {
		return names
	}
	if len(names) == 1 {
		return nil
	}
	return slices.Delete(names, i, i+1)
}
