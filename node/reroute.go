package node

import (
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/transport"
)

// remote returns what requests for a member are sent with; nil: it is this node.
func (n *Node) remote(m cluster.Member) *transport.Peer {
	if m.Slot == n.self.Slot && m.Boot == n.self.Boot {
		return nil
	}
	return n.transport.Peer(m.Addr)
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
	if last.Closed || last.View.Version > view.Version {
		n.mu.Unlock()
		return
	}
	told := n.toldLocked(view)
	n.mu.Unlock()
	next, err := n.builder.Routes(n.driver.Admitted(told), last)
	if err != nil {
		n.log.Error("the members cannot be placed", "err", err)
		return
	}
	n.mu.Lock()
	if n.routes.Load().Closed {
		n.mu.Unlock()
		return
	}
	n.routes.Store(next)
	n.endpoint.Expect(next.View.Members)
	n.standing.count(next.View)
	n.driver.HandleView(next)
	n.mu.Unlock()
	n.forgetPeers(last, next)
	n.passOn(last, next)
	lifetime.Signal(n.met)
}

// How long the connections to a member that has left are kept, as its good-bye overtakes
// its answers. One that seems lost may have left too, if it drained, as the news of its
// good-bye is lost now and then, or if this node leaves, as then it gets no news.
const (
	lastAnswers = 5 * time.Second
	lostAnswers = 2 * time.Second
)

// forgetPeers closes the connections to members that are not there any more.
func (n *Node) forgetPeers(last, next *route.Routes) {
	if last.View == nil {
		return
	}
	here := make(map[string]bool, len(next.View.Members))
	for _, m := range next.View.Members {
		here[m.Addr] = true
	}
	for _, m := range last.View.Members {
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
	for _, m := range n.routes.Load().View.Members {
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
	owner := r.Owners[part]
	if owner == nil {
		return Place{}, opError("where", id, errNoOwner)
	}
	return Place{Partition: part, Owner: owner.Member, Local: owner.Remote == nil}, nil
}

// Members returns the members that this node sees, sorted by slot and boot,
// itself included: those by which it places sessions at this moment. The slice
// is the caller's.
func (n *Node) Members() []cluster.Member {
	return slices.Clone(n.must().routes.Load().View.Members)
}
