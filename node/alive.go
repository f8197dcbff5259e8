package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/transport"
)

// aliveInterval is between two questions to a member whether it is there.
const aliveInterval = 5 * time.Second

// watchMembers asks all members again and again, until the driver stops.
func (n *Node) watchMembers() {
	for lifetime.Pause(n.life.Context(), aliveInterval) {
		n.askMembers(n.life.Context())
	}
}

// askMembers asks every other member whether it is there, all at a time, and returns
// when each has answered or has not in time.
func (n *Node) askMembers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, aliveInterval)
	defer cancel()
	view := n.routes.Load().View
	n.roster.Keep(view)
	var all sync.WaitGroup
	for _, m := range view.Members {
		if m.Name() != n.self.Name() {
			all.Go(func() {
				_, err := n.question(ctx, m, n.aliveQuestion())
				if n.life.Context().Err() == nil {
					n.note(m, err)
				}
			})
		}
	}
	all.Wait()
}

// note takes in whether a member has answered, and logs when one falls silent.
func (n *Node) note(m cluster.Member, err error) {
	if _, answered := errors.AsType[*transport.Error](err); answered {
		err = nil
	}
	was, is, since := n.roster.Note(m.Name(), err)
	switch {
	case is && !was:
		n.log.Error("a member gossips and does not answer calls: whatever has to ask it waits, until it answers or "+
			"Evict puts it out",
			"peer", m.Name(), "addr", m.Addr, "since", since, "err", err)
	case was && !is:
		n.log.Info("a member answers calls again", "peer", m.Name())
	}
}

// suspectAt has the failure detection find out soon whether the members at an address
// have died: connections are refused there. It is called by the transport.
func (n *Node) suspectAt(addr string) {
	for _, m := range n.routes.Load().View.Members {
		if m.Addr == addr && m.Name() != n.self.Name() {
			n.cluster.Suspect(m.Name())
		}
	}
}

// kinds are the names of those that this node was given.
func (n *Node) kinds() []string {
	names := make([]string, len(n.cfg.Kinds))
	for i, k := range n.cfg.Kinds {
		names[i] = k.Name()
	}
	return names
}
