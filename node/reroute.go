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
	lifetime.Signal(n.placed)
	n.noteTurn()
}

// inherit finds out after each view who is to keep the standbys of this node's sessions, until the
// node ends. Nothing else waits for that.
func (n *Node) inherit() {
	for {
		select {
		case <-n.placed:
		case <-n.life.Context().Done():
			return
		}
		r := n.routes.Load()
		next, err := n.builder.WithHeirs(r)
		if err != nil {
			n.log.Error("the standbys cannot be placed", "err", err)
			continue
		}
		n.mu.Lock()
		if next != r && n.routes.CompareAndSwap(r, next) {
			n.driver.HandleView(next)
		}
		n.mu.Unlock()
	}
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

// toldLocked is view with the states that members have told of themselves and that
// gossip has not brought yet. A state is never taken back.
func (n *Node) toldLocked(view *cluster.View) *cluster.View {
	if len(n.told) == 0 {
		return view
	}
	next := &cluster.View{Version: view.Version, Members: slices.Clone(view.Members)}
	here := make(map[string]bool, len(next.Members))
	for i := range next.Members {
		m := &next.Members[i]
		here[m.Name()] = true
		if s, ok := n.told[m.Name()]; ok && s > m.State {
			m.State = s
		} else {
			delete(n.told, m.Name())
		}
	}
	for name := range n.told {
		if !here[name] && len(n.told) > maxTold {
			delete(n.told, name)
		}
	}
	return next
}

// maxTold is how many members that this node does not see may have told it of their
// state: they join, or have gone.
const maxTold = 64
