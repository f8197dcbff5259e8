package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// standing is whether this node may answer for its sessions. It may not while
// it sees too few members, nor after its process has stood still for so long
// that others may have put it out: then until it knows what they did.
type standing struct {
	n     *Node
	stood chan struct{} // cap 1: the process has stood still
	found chan struct{} // cap 1: it was in the minority, and sees enough members now

	mu    sync.Mutex    // guards all below, and that the table is paused accordingly
	gap   time.Duration // how long, until it is known what happened meanwhile
	few   bool          // fewer members than Config.Quorum
	table *sessionproc.Table
}

const (
	stallAfter    = time.Second // the others need longer to put a member out
	standingPause = 20 * time.Millisecond
	standingTime  = 15 * time.Second // for the others to answer, and to hand over what they took
)

// What a member says of one that asks how it stands.
const (
	standsAsEver  = iota // it was seen all the time
	standsAgain          // it was put out and came back; nothing is left here that is its
	standsNotYet         // something is, or it is not seen
	standingTypes        // later releases may know more
)

// begin has the standing pause a table from now on.
func (s *standing) begin(t *sessionproc.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = t
	s.applyLocked()
}

func (s *standing) applyLocked() {
	switch {
	case s.table == nil:
	case s.few:
		s.table.Pause(sessionproc.ErrNoQuorum)
	case s.gap > 0:
		s.table.Pause(errMoving)
	case s.table.PausedBy() != nil:
		s.table.Unpause()
	}
}

// stall notes that the process has stood still.
func (s *standing) stall(gap time.Duration) {
	s.mu.Lock()
	s.gap = max(s.gap, gap)
	s.applyLocked()
	s.mu.Unlock()
	signal(s.stood)
}

// count looks whether a view has enough members. A minority it is at once; out of
// it a node comes when so many have answered it: see regain.
func (s *standing) count(v *cluster.View) {
	quorum := s.n.cfg.Quorum
	seen := countSlots(v, func(cluster.Member) bool { return true })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.DetectStalls(len(v.Members) > 1)
	switch few := seen < quorum; {
	case s.few && !few:
		signal(s.found)
	case few && !s.few:
		s.few = true
		s.applyLocked()
		s.n.log.Warn("too few members: this node answers no more", "members", seen, "quorum", quorum)
	}
}

func (s *standing) hasQuorum() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.few
}

// watch finds out what happened while the process stood still, until ctx ends. Where the
// machine is busy, each session that begins to work finds the clock a little later; that
// is one stall all the same: it is told once, and the members are asked once in a while.
func (s *standing) watch(ctx context.Context) {
	for told := false; ; {
		select {
		case <-s.stood:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		gap := s.gap
		s.mu.Unlock()
		if !told {
			s.n.log.Warn("this process stood still: its sessions wait until the other members have said how it stands", "for", gap)
		}
		begun := time.Now()
		within, cancel := context.WithTimeout(ctx, standingTime)
		stands := s.n.stands(within, gap)
		for !stands && pause(within, standingPause) {
			stands = s.n.stands(within, gap)
		}
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		again := s.gap > gap // it stood still once more
		if !again {
			s.gap = 0
			s.applyLocked()
		}
		s.mu.Unlock()
		if !again {
			s.n.driver.lot.wakeAll()
		}
		told = again
		switch {
		case again:
			pause(ctx, standingPause)
			signal(s.stood)
		case stands:
			s.n.log.Info("sessions work on", "after", time.Since(begun))
		default:
			s.n.log.Error("sessions work on, though no other member has said how this one stands", "after", time.Since(begun))
		}
	}
}

// stands asks all members, those too that seem to have died meanwhile: that may be
// an error of this node. One that has seen this node all the time is enough:
// without it nobody can have taken anything. Else all have to be done with
// handing over what they took.
func (n *Node) stands(ctx context.Context, gap time.Duration) bool {
	others := n.driver.othersSince(time.Now().Add(-gap - standingTime))
	answers := make(chan uint64, len(others))
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	for name, addr := range others {
		n.driver.wait.Go(func() {
			answer, err := n.askStanding(ctx, addr, gap)
			if err != nil {
				n.log.Debug("a member does not say how this one stands", "peer", name, "err", err)
				answer = standsNotYet
			}
			answers <- answer
		})
	}
	all := true
	for range others {
		switch <-answers {
		case standsAsEver:
			return true
		case standsAgain:
		default:
			all = false
		}
	}
	return all
}

func (n *Node) askStanding(ctx context.Context, addr string, gap time.Duration) (uint64, error) {
	payload := wire.AppendUint([]byte{helloStanding}, uint64(gap.Milliseconds()))
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

// othersSince returns the addresses of all other members by name, those included
// that have been lost since.
func (d *driver) othersSince(since time.Time) map[string]string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	others := map[string]string{}
	if d.routes == nil {
		return others
	}
	for _, m := range d.routes.view.Members {
		if m.Name() != d.n.self.Name() && m.State != cluster.Joining {
			others[m.Name()] = m.Addr
		}
	}
	for name, f := range d.former {
		if f.level != ownership.Left && f.since.After(since) {
			others[name] = f.addr
		}
	}
	return others
}

// standingOf says how another member stands that stood still for so long.
func (d *driver) standingOf(member string, gap time.Duration) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if back, ok := d.returned[member]; d.routes == nil || !d.sees(member) || d.former[member].addr != "" {
		return standsNotYet
	} else if !ok || time.Since(back) > gap+standingTime {
		return standsAsEver
	}
	for part, owner := range d.routes.owners {
		if owner == nil || owner.name != member {
			continue
		}
		d.countLocked(part)
		if pt := &d.parts[part]; pt.counted || len(pt.sealed) > 0 || d.m.Holds(part) {
			return standsNotYet
		}
	}
	return standsAgain
}

func (d *driver) sees(member string) bool {
	for _, m := range d.routes.view.Members {
		if m.Name() == member {
			return true
		}
	}
	return false
}
