package node

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// losses count the members that were taken for dead.
type losses struct{ members, sessions, stalls atomic.Int64 }

// memberChanged logs and tells that another member has come, changed or gone.
func (n *Node) memberChanged(change string, m cluster.Member) {
	name, sessions := m.Name(), 0
	switch change {
	case cluster.Joined:
		n.log.Info("member joined", "peer", name, "addr", m.Addr, "state", m.State.String())
	case cluster.Changed:
		n.log.Info("member changed", "peer", name, "state", m.State.String())
	case cluster.Left:
		n.log.Info("member left", "peer", name)
	case cluster.Lost:
		if n.driver.IsEvicted(name) {
			return // it was told when it was put out
		}
		sessions = n.roster.LastSessions(name)
		n.losses.members.Add(1)
		n.losses.sessions.Add(int64(sessions))
		n.log.Warn("member lost", "peer", name, "addr", m.Addr, "sessions", sessions)
		n.life.Go(func() { n.awaitTakeover(name) })
	}
	n.tellMember(change, m, sessions)
}

func (n *Node) tellMember(change string, m cluster.Member, sessions int) {
	if n.trace.MemberChanged != nil {
		n.trace.MemberChanged(TraceMemberChanged{Change: change, Name: m.Name(), Addr: m.Addr, State: m.State.String(),
			Sessions: sessions})
	}
}

// tellEvicted tells of a member that is put out, before it is.
func (n *Node) tellEvicted(name string) {
	for _, m := range n.routes.Load().View.Members {
		if m.Name() == name && !n.driver.IsEvicted(name) {
			n.tellMember("evicted", m, n.roster.LastSessions(name))
		}
	}
}

// awaitTakeover logs how long it takes until this node serves the partitions that fall to it from a
// member that is lost, and the sessions in them that go on here.
func (n *Node) awaitTakeover(name string) {
	begun, promoted := time.Now(), n.driver.Durability(true).Promoted
	pause := takeoverPause
	for first := 0; ; {
		parts, left := n.driver.Inherited(name)
		first = max(first, parts)
		switch {
		case n.routes.Load().Closed, left < 0 && (first > 0 || time.Since(begun) > takeoverTime):
			return // it is back
		case left == 0 && (first > 0 || time.Since(begun) > takeoverTime):
			if first > 0 {
				n.log.Info("partitions of a lost member are taken over", "peer", name, "partitions", first,
					"sessions", n.driver.Durability(true).Promoted-promoted, "after", time.Since(begun))
			}
			return
		}
		if !lifetime.Pause(n.life.Context(), pause) {
			return
		}
		if time.Since(begun) > takeoverTime {
			pause = min(2*pause, time.Second)
		}
	}
}

const (
	takeoverPause = 20 * time.Millisecond
	takeoverTime  = 5 * time.Second // by then the partitions have fallen to somebody
)

// aliveQuestion asks a member whether it is there, and tells it how many sessions this node has.
func (n *Node) aliveQuestion() []byte {
	return wire.AppendUint([]byte{helloAlive}, uint64(n.table.Len()))
}

// noteAlive records what a member says of itself as it asks. One of an earlier release says nothing.
func (n *Node) noteAlive(name string, said []byte) {
	r := wire.NewReader(said)
	if sessions := r.Uint(); r.Err() == nil && len(said) > 0 && sessions <= math.MaxInt32 {
		n.roster.NoteSessions(name, int(sessions))
	}
}
