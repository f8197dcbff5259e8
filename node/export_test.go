package node

import (
	"time"

	"github.com/sessionproc/sessionproc/node/internal/handover"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// StandStill does what is done after the process has stood still for gap.
func (n *Node) StandStill(gap time.Duration) { n.standing.stall(gap) }

// Stands reports whether the sessions of n work.
func (n *Node) Stands() bool { return n.table.PausedBy() == nil }

// SuspectAt does what is done when connections to an address are refused.
func (n *Node) SuspectAt(addr string) { n.suspectAt(addr) }

// MostStall is the longest StallAfter.
var MostStall = mostStall

// LoseQuorum has the node believe that it sees too few members, or enough.
func (n *Node) LoseQuorum(few bool) {
	n.standing.mu.Lock()
	defer n.standing.mu.Unlock()
	n.standing.few = few
	n.standing.applyLocked()
}

// AnswerQueries has n answer as many queries as it can, for good.
func (n *Node) AnswerQueries() {
	for range maxQueries {
		n.queries <- struct{}{}
	}
}

// UseHeap has MemoryMark compared with what f returns.
func (cfg *Config) UseHeap(f func() int64) { cfg.heapInUse = f }

// BeOfAnEarlierRelease has a node know no query that came after those of the release before Healths.
func (cfg *Config) BeOfAnEarlierRelease() { cfg.newest = askEnding }

// RunUntil is RunUntilSignal with signals that a test sends.
var RunUntil = runUntil

// Remains says what n keeps of moves and of members that are gone; "" if nothing.
func (n *Node) Remains() (what string) { return n.driver.Remains() }

// stopping is an Entry that finds its driver stopped.
type stopping struct{ d *handover.Driver }

func (stopping) Begin() bool { return false }

func (s stopping) Here() bool {
	s.d.Stop()
	return false
}

// EnterAsItStops looks for session id while the driver stops. The partition is not to
// be quiet.
func (n *Node) EnterAsItStops(id string) error {
	return n.driver.Enter(n.routes.Load().Ring.Partition(id), id, stopping{n.driver})
}

// NumberCall gives a call to session id its key, which says what is over. over ends the call; twice says that it
// was made again.
func (n *Node) NumberCall(id string) (o *engine.Once, over func(twice bool)) {
	t := new(ticket)
	key, low := n.numbers.take(t, id)
	return &engine.Once{Key: key, Root: key, Low: low}, func(twice bool) {
		if twice {
			t.doubt()
		}
		t.over()
	}
}
