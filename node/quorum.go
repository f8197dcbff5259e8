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

// A view still has members that have just died. A node that has a quorum goes on
// until it finds that out; one that has none would count them and answer again, as
// soon as it sees one member more. So it counts those that answer it.

const (
	regainPause = 50 * time.Millisecond
	regainTime  = time.Second // for members to answer
)

// regain brings the node out of the minority, whenever it sees enough members,
// until ctx ends.
func (s *standing) regain(ctx context.Context) {
	for {
		select {
		case <-s.found:
		case <-ctx.Done():
			return
		}
		for !s.ask(ctx) && lifetime.Pause(ctx, regainPause) {
		}
	}
}

// awaitQuorum waits, after a node has joined, until it is known whether the
// members that the node sees are enough.
func (s *standing) awaitQuorum(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, regainTime)
	defer cancel()
	all := func(cluster.Member) bool { return true }
	for !s.hasQuorum() && countSlots(s.n.routes.Load().View, all) >= s.n.cfg.Quorum && lifetime.Pause(ctx, helloPause) {
	}
}

// ask asks the members whether they are there, and reports whether that is over:
// enough of them answer, or fewer are seen than are needed.
func (s *standing) ask(ctx context.Context) (over bool) {
	quorum, view := s.n.cfg.Quorum, s.n.routes.Load().View
	if s.hasQuorum() || countSlots(view, func(cluster.Member) bool { return true }) < quorum {
		return true
	}
	answer := s.n.whoAnswers(ctx, view)
	answering := countSlots(view, func(m cluster.Member) bool { return answer[m.Name()] })
	if answering < quorum {
		return false
	}
	s.mu.Lock()
	if s.n.routes.Load().View != view { // somebody may have gone meanwhile
		s.mu.Unlock()
		return false
	}
	s.few = false
	if s.n.self.Standbys && s.n.table.Len() > 0 { // with a quorum the others may have gone on with these sessions
		s.gap, s.apart = max(s.gap, time.Since(s.since)), true
		lifetime.Signal(s.stood)
	}
	s.applyLocked()
	s.mu.Unlock()
	s.n.log.Info("enough members: this node answers", "members", answering, "quorum", quorum)
	s.n.noteTurn()
	s.n.reroute(s.n.cluster.View()) // the driver claims again
	return true
}

// whoAnswers asks all members of a view at once. This node answers itself.
func (n *Node) whoAnswers(ctx context.Context, view *cluster.View) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, regainTime)
	defer cancel()
	var (
		mu     sync.Mutex
		answer = map[string]bool{n.self.Name(): true}
		all    sync.WaitGroup
	)
	for _, m := range view.Members {
		if m.Name() == n.self.Name() || m.State == cluster.Joining {
			continue
		}
		all.Go(func() {
			_, err := n.question(ctx, m, []byte{helloAlive})
			if _, refused := errors.AsType[*transport.Error](err); err == nil || refused {
				mu.Lock()
				defer mu.Unlock()
				answer[m.Name()] = true
			}
		})
	}
	all.Wait()
	return answer
}
