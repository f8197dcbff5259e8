package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/transport"
)

// routes is where every partition's sessions are, as this node sees it at one
// moment. It is immutable; Node.routes holds the present one.
type routes struct {
	view   *cluster.View
	ring   *ring.Ring
	owners []*peer // by partition; nil: nobody serves
	closed bool    // the node was closed: no request is taken

	placed   []*peer      // owners, as the ring says
	assigned []assignment // where they differ from that
	lent     map[int]bool // the partitions that are assigned
}

// peer is an owner of partitions.
type peer struct {
	cluster.Member
	name   string          // Member.Name()
	remote *transport.Peer // nil: this node
}

// newRoutes places the partitions on the serving members of a view. The routes
// until now may have the same.
func (n *Node) newRoutes(view *cluster.View, last *routes) (*routes, error) {
	serving, given := view.Serving(), assigned(view)
	same := last != nil && last.view != nil && slices.EqualFunc(serving, last.view.Serving(), cluster.Member.Equal)
	if same && sameAssigned(given, last.assigned) {
		r := *last
		r.view, r.closed = view, false
		return &r, nil
	}
	slots := make([]string, len(serving))
	peers, named := make(map[string]*peer, len(serving)), make(map[string]*peer, len(serving))
	for i, m := range serving {
		slots[i] = m.Slot
		p := n.peer(m)
		peers[m.Slot], named[p.name] = p, p
	}
	if same {
		r := &routes{view: view, ring: last.ring, placed: last.placed}
		r.assign(given, named)
		return r, nil
	}
	table, err := n.rings.Ring(slots)
	if err != nil {
		return nil, fmt.Errorf("node: ring of %d members: %w", len(slots), err)
	}
	r := &routes{view: view, ring: table, placed: make([]*peer, table.Partitions())}
	for part := range r.placed {
		if slot, ok := table.Owner(part); ok {
			r.placed[part] = peers[slot]
		}
	}
	r.assign(given, named)
	return r, nil
}

func (n *Node) peer(m cluster.Member) *peer {
	if m.Slot == n.self.Slot && m.Boot == n.self.Boot {
		return &peer{Member: m, name: m.Name()}
	}
	return &peer{Member: m, name: m.Name(), remote: n.transport.Peer(m.Addr)}
}

// follow keeps the routes and the driver up to date with the views, until quit.
func (n *Node) follow() {
	defer close(n.followed)
	for {
		select {
		case view := <-n.cluster.Updates():
			n.reroute(view)
		case <-n.quit:
			return
		}
	}
}

// reroute puts a view into effect: requests go by it at once, sessions follow
// when the driver has them moved.
func (n *Node) reroute(view *cluster.View) {
	n.placing.Lock() // so that n.mu is free while the partitions are placed
	defer n.placing.Unlock()
	n.mu.Lock()
	last := n.routes.Load()
	if last.closed || last.view.Version > view.Version {
		n.mu.Unlock()
		return
	}
	told := n.toldLocked(view)
	n.mu.Unlock()
	next, err := n.newRoutes(n.driver.admitted(told), last)
	if err != nil {
		n.log.Error("the members cannot be placed", "err", err)
		return
	}
	n.mu.Lock()
	if n.routes.Load().closed {
		n.mu.Unlock()
		return
	}
	n.routes.Store(next)
	n.endpoint.Expect(next.view.Members)
	n.standing.count(next.view)
	n.driver.handleView(next)
	n.mu.Unlock()
	n.forgetPeers(last, next)
	n.passOn(last, next)
	signal(n.driver.met)
}

// How long the connections to a member that has left are kept, as its good-bye overtakes
// its answers. One that seems lost may have left too, if it drained, as the news of its
// good-bye is lost now and then, or if this node leaves, as then it gets no news.
const (
	lastAnswers = 5 * time.Second
	lostAnswers = 2 * time.Second
)

// forgetPeers closes the connections to members that are not there any more.
func (n *Node) forgetPeers(last, next *routes) {
	if last.view == nil {
		return
	}
	here := make(map[string]bool, len(next.view.Members))
	for _, m := range next.view.Members {
		here[m.Addr] = true
	}
	for _, m := range last.view.Members {
		switch {
		case here[m.Addr]:
		case m.State != cluster.Draining && !n.leaving.Load():
			n.transport.Forget(m.Addr)
		case n.cluster.Lost(m.Name()):
			time.AfterFunc(lostAnswers, func() { n.forgetUnlessBack(m.Addr) })
		default:
			time.AfterFunc(lastAnswers, func() { n.forgetUnlessBack(m.Addr) })
		}
	}
}

func (n *Node) forgetUnlessBack(addr string) {
	for _, m := range n.routes.Load().view.Members {
		if m.Addr == addr {
			return
		}
	}
	n.transport.Forget(addr)
}

// Place is where a session lives or would live.
type Place struct {
	Partition int
	Owner     cluster.Member
	Local     bool // Owner is this node
}

// Where returns where this node would send a request for session id, whether
// or not that session was started. ErrInvalidID for what is no session ID,
// ErrUnavailable while no member serves.
func (n *Node) Where(id string) (Place, error) {
	r, part, err := n.locate(id)
	if err != nil {
		return Place{}, opError("where", id, err)
	}
	owner := r.owners[part]
	if owner == nil {
		return Place{}, opError("where", id, errNoOwner)
	}
	return Place{Partition: part, Owner: owner.Member, Local: owner.remote == nil}, nil
}

// Members returns the members that this node sees, sorted by slot and boot,
// itself included: those by which it places sessions at this moment. The slice
// is the caller's.
func (n *Node) Members() []cluster.Member {
	return slices.Clone(n.must().routes.Load().view.Members)
}
