package node

import (
	"context"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

// A change of a node's state is told to the members directly, beside gossip, which
// takes up to 0.3 s. While some know of it and others do not, nobody can take a
// partition, and what is to be started in it waits.

const (
	newsTimeout = time.Second
	seenTime    = time.Second // how long a node that joins waits until all members see it
)

// tell tells all members of this node's state.
func (n *Node) tell(s cluster.State) {
	for _, m := range n.cluster.View().Members {
		if m.Name() == n.self.Name() {
			continue
		}
		n.life.Go(func() {
			ctx, cancel := context.WithTimeout(n.life.Context(), newsTimeout)
			defer cancel()
			if _, err := n.question(ctx, m, []byte{helloState, byte(s)}); err != nil {
				n.log.Debug("a member hears of this node's state by gossip only", "peer", m.Name(), "state", s.String(), "err", err)
			}
		})
	}
}

// awaitSeen waits until all members see this node, which joins: they will all
// hear then that it serves. Gossip takes up to 0.3 s.
func (n *Node) awaitSeen(ctx context.Context, hosts []cluster.Member) {
	ctx, cancel := context.WithTimeout(ctx, seenTime)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range hosts {
		all.Go(func() {
			for {
				if _, err := n.question(ctx, m, []byte{helloReach}); err == nil || !lifetime.Pause(ctx, helloPause) {
					return
				}
			}
		})
	}
	all.Wait()
}

// noteState records the state that a member has announced by itself, ahead of
// the gossip.
func (n *Node) noteState(name string, s cluster.State) {
	n.mu.Lock()
	if s > n.told[name] {
		n.told[name] = s
	}
	n.mu.Unlock()
	n.reroute(n.cluster.View())
}
