package ownership

import (
	"slices"
	"strings"
	"sync"
)

// token is whether this node holds a partition.
type token uint8

const (
	none token = iota
	claiming
	held
)

// partition is one partition at one node: everything but what all partitions
// share. Slices are sorted, so equal states have equal contents.
type partition struct {
	number  int
	owner   string // by the present view
	tok     token
	last    uint64 // the last claim id
	rel     release
	peers   []peer
	running int          // copies that run or start, sealed ones not counted
	backups int          // sealed ones not counted
	kept    roll[Kept]   // of those: they stay here, under rel
	sealed  roll[sealed] // copies on their way
	tombs   []string     // sessions that ended while an older copy may be about
	tally   tally
}

// release is whom the partition is promised to.
type release struct {
	to     string // "" = nobody
	id     uint64
	pulled bool
}

// sealed is a copy that does not run any more.
type sealed struct {
	session string
	to      string
	id      uint64
	form    Form
	sent    bool // the last chunk may have left: from here on only the target decides
}

func (s sealed) of() string { return s.session }

func (s sealed) spare() *sync.Pool { return &spareSealed }

// tally counts the peers, so that questions need not. It is made anew at the end of
// every turn that may have changed one.
type tally struct {
	asked    int
	promised int
	pulling  int
	loose    int // from whom something was taken, or where something stays
}

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

// state is how far a member is asked.
type state uint8

const (
	unasked  state = iota
	asked          // a claim is out
	promised       // it takes no part any more
	pulling        // it sends what it has
	done           // it has nothing, or what it has stays there
)

// peer is another member, seen from one partition.
type peer struct {
	name   string
	ask    state
	id     uint64     // of ask
	filter Filter     // of the sessions that it had when it promised, under id
	absent []string   // sessions that it does not have, under id
	kept   roll[Kept] // sessions that stay there, under id
	seen   uint64     // highest of its claims that was promised here
	acc    roll[accepted]
}

// accepted is a session that this node took from a peer.
type accepted struct {
	session   string
	id        uint64
	confirmed bool // the peer knows
}

func (a accepted) of() string { return a.session }

func (a accepted) spare() *sync.Pool { return &spareAccepted }

func (p *partition) peer(name string) *peer {
	i, ok := slices.BinarySearchFunc(p.peers, name, func(q peer, n string) int { return strings.Compare(q.name, n) })
	if !ok {
		return nil
	}
	return &p.peers[i]
}

// meet is peer, made if need be. Earlier pointers to peers are void.
func (p *partition) meet(name string) *peer {
	i, ok := slices.BinarySearchFunc(p.peers, name, func(q peer, n string) int { return strings.Compare(q.name, n) })
	if !ok {
		p.peers = slices.Insert(p.peers, i, peer{name: name})
	}
	return &p.peers[i]
}

// entry is the peer if it is asked under id.
func (p *partition) entry(name string, id uint64) *peer {
	if q := p.peer(name); q != nil && q.ask != unasked && q.id == id {
		return q
	}
	return nil
}

// set begins to ask the peer, or ends that. What the peer knows to be here need not be
// remembered then: under another id it would not be believed if it sent it again.
func (q *peer) set(to state, id uint64) {
	q.ask, q.id, q.filter, q.absent, q.kept = to, id, "", nil, roll[Kept]{}
	q.acc.dropThose(func(a *accepted) bool { return a.confirmed })
}

func (q *peer) accepted(session string) *accepted { return q.acc.find(session) }

// answered: under its claim this peer can send no copy of session any more, and
// none stays there.
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

// full: the token is here, and so is everything that was elsewhere, but for what
// stays there.
func (p *partition) full() bool {
	return p.tok == held && p.tally.asked+p.tally.promised+p.tally.pulling == 0
}

// fullFor: no copy of session that may run is anywhere but here. What is not here
// does not exist.
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

// final: full for session, and nobody has a sealed copy of it either.
func (t *turn) final(session string) bool {
	for i := range t.peers {
		if a := t.peers[i].accepted(session); a != nil && !a.confirmed {
			return false
		}
	}
	return t.fullFor(session)
}

// copies: something of the partition is here.
func (p *partition) copies() bool {
	return p.running+p.backups+p.sealed.len()+len(p.tombs) > 0
}

// settled: nothing is here but what stays here.
func (p *partition) settled() bool {
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
