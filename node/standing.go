package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

const (
	leastStall    = 100 * time.Millisecond // the table's clock goes in steps of 20 ms
	standingPause = 20 * time.Millisecond
	standingTime  = 15 * time.Second // for members to answer, and to hand sessions back
	apartPause    = time.Second      // after a node was apart, or put out, for it to see all the others
)

// A member's answer to a node that asks for its status. The numbers are on the wire.
const (
	standsAsEver  = iota // the node was seen all the time
	standsAgain          // the node counted as dead and returned; nothing of its partitions is left here
	standsNotYet         // something of them is left here, or the node is not seen
	standingTypes        // later releases may add answers
)

// mostStall returns how long a process may stand still unnoticed. A stall that is
// shorter must have ended, and the member must have refuted that it is dead, before
// any other declares that.
func mostStall(p cluster.Profile) time.Duration { return p.DeadAfter() * 2 / 3 }

// begin makes the standing pause table t from now on.
func (s *standing) begin(t *engine.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = t
	s.applyLocked()
}

// applyLocked pauses or unpauses the table.
func (s *standing) applyLocked() {
	switch {
	case s.table == nil:
	case s.few:
		s.table.Pause(sessionproc.ErrNoQuorum)
	case s.gap > 0:
		s.table.Pause(failure.Coming)
	case s.table.PausedBy() != nil:
		s.table.Unpause()
	}
}

// stall records that the process has stood still.
func (s *standing) stall(gap time.Duration) {
	s.mu.Lock()
	s.gap = max(s.gap, gap)
	s.applyLocked()
	s.mu.Unlock()
	lifetime.Signal(s.stood)
}

// count checks whether a view has enough members. A node is in the minority at
// once if it has not. It leaves the minority only when enough members have
// answered it; see regain.
func (s *standing) count(v *cluster.View) {
	quorum := s.n.cfg.Quorum
	seen := countSlots(v, func(cluster.Member) bool { return true })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.DetectStalls(len(v.Members) > 1)
	switch few := seen < quorum; {
	case s.few && !few:
		lifetime.Signal(s.found)
	case few && !s.few:
		s.few, s.since = true, time.Now()
		s.applyLocked()
		s.n.noteTurn()
		s.n.log.Warn("too few members: this node stops answering", "members", seen, "quorum", quorum)
	}
}

// hasQuorum reports whether this node sees enough members.
func (s *standing) hasQuorum() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.few
}

// watch is the goroutine that finds out what happened while the process stood
// still, until ctx ends. On a busy machine each session that starts to run may
// notice the stall a little later than the one before. All of that is one
// stall: watch logs it once, and it does not ask the members for each.
func (s *standing) watch(ctx context.Context) {
	for told := false; ; {
		select {
		case <-s.stood:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		gap, apart := s.gap, s.apart
		s.mu.Unlock()
		if !told {
			why := "this process stood still"
			if apart {
				why = "this node was in the minority"
			}
			if !apart {
				s.n.noteStall(gap)
			}
			s.n.log.Warn(why+": sessions wait until other members confirm this node's status", "for", gap)
		}
		begun := time.Now()
		within, cancel := context.WithTimeout(ctx, standingTime)
		if apart { // no answer would do earlier
			lifetime.Pause(within, apartPause)
		}
		stands := s.n.stands(within, begun, gap, apart)
		for !stands && lifetime.Pause(within, standingPause) {
			stands = s.n.stands(within, begun, gap, apart)
		}
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		again := s.gap > gap // the process stood still once more
		if !again {
			s.gap, s.apart = 0, false
			s.applyLocked()
		}
		s.mu.Unlock()
		if !again {
			s.n.waitlist.wakeAll()
		}
		told = again
		switch {
		case again:
			lifetime.Pause(ctx, standingPause)
			lifetime.Signal(s.stood)
		case stands:
			s.n.log.Info("resuming sessions", "after", time.Since(begun))
		default:
			s.n.log.Error("resuming sessions: no member confirmed this node's status", "after", time.Since(begun))
		}
	}
}

// stands asks all members for this node's status, including members that seem
// to have died in the meantime: that may be an error of this node. One member
// that has seen this node all the time suffices, because without its promise no
// other member can have become holder. Otherwise all members must have handed
// back what they took, and what now belongs to others must have gone there: they may
// have gone on with it.
//
// If this node was apart, all members that it sees must have done so: one that
// has seen it all the time may have been apart with it, or have come meanwhile,
// and those that it does not see are too few to have gone on.
func (n *Node) stands(ctx context.Context, begun time.Time, gap time.Duration, apart bool) bool {
	since := time.Now()
	if !apart {
		since = since.Add(-gap - standingTime)
	}
	others := n.driver.OthersSince(since)
	answers := make(chan uint64, len(others))
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	for name, addr := range others {
		asks := n.life.Go(func() {
			answer, err := n.askStanding(ctx, addr, gap+time.Since(begun), apart)
			if err != nil {
				n.log.Debug("a member does not tell this node's status", "peer", name, "err", err)
				answer = standsNotYet
			}
			answers <- answer
		})
		if !asks {
			answers <- standsNotYet
		}
	}
	all := true
	for range others {
		switch <-answers {
		case standsAsEver:
			if !apart {
				return true
			}
		case standsAgain:
		default:
			all = false
		}
	}
	return all && time.Since(begun) >= apartPause && !n.driver.Strays()
}

// askStanding asks one member for this node's status.
func (n *Node) askStanding(ctx context.Context, addr string, gap time.Duration, apart bool) (uint64, error) {
	payload := wire.AppendBool(wire.AppendUint([]byte{helloStanding}, uint64(gap.Milliseconds())), apart)
	reply, err := n.transport.Peer(addr).Call(ctx, &transport.Request{Flags: opHello, Payload: payload})
	if err != nil {
		return 0, err
	}
	defer reply.Release()
	r := wire.NewReader(reply.Payload)
	answer := r.Uint()
	if r.Err() == nil && answer >= standingTypes {
		return 0, fmt.Errorf("answer %d is unknown to this release", answer)
	}
	return answer, r.Err()
}

// standingOf returns the status of a member whose process stood still for gap, or was apart for so long.
func (n *Node) standingOf(member string, gap time.Duration, apart bool) uint64 {
	switch was, back := n.driver.Returned(member, gap, apart); {
	case was:
		return standsAsEver
	case back:
		return standsAgain
	}
	return standsNotYet
}

// countSlots counts the members that are to be counted, by slot: of two starts of
// one the former is as good as gone.
func countSlots(v *cluster.View, counts func(cluster.Member) bool) (seen int) {
	last := ""
	for _, m := range v.Members {
		if m.State != cluster.Joining && m.Slot != last && counts(m) {
			seen++
			last = m.Slot
		}
	}
	return seen
}
