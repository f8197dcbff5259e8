package node

import (
	"slices"
	"strings"
	"time"
)

// Health is what keeps a node from its work, as it knows it. A node that is well
// has an empty Silent, and an empty Waiting but for moments after the members
// have changed.
type Health struct {
	Ready    error // what Node.Ready says
	Draining bool
	Memory   error          // not nil: it takes no more sessions, as its heap is above Config.MemoryMark
	Silent   []SilentMember // sorted by name
	Waiting  []WaitingFor   // sorted by name
	// Durability is about standbys (sessionproc.KindConfig.Replicas).
	Durability Durability
	// Differing are the members that were given other kinds than this node, sorted by
	// name. During a deploy there are some; afterwards there should be none.
	Differing []Difference
}

// Durability is how safe the sessions of a node are that have standbys, and what it keeps for others.
// A node that is well has no Unprotected and no Recovering but for moments after the members have
// changed, and an empty Behind.
type Durability struct {
	Replicated  int // sessions of this node that have standbys, or are to have some
	Unprotected int // of these: with fewer than KindConfig.Replicas, as too few members serve, or they are being made
	Recovering  int // partitions of this node to which sessions of lost nodes may still come back
	// Behind are the members that have not answered for a second what they were told about standbys.
	// Changes of sessions that have a standby there wait for them. Sorted by name.
	Behind []BehindMember

	Standbys     int   // of other nodes' sessions that this node keeps
	StandbyBytes int64 // what they take of Config.StandbyMemory
}

// BehindMember is a member that is slow with what it is told about its standbys.
type BehindMember struct {
	Name    string        // slot/boot
	Records int           // that it has not answered
	Bytes   int           // of these
	Silent  time.Duration // since its last answer
}

const behindAfter = time.Second

// durability counts the sessions that have standbys.
func (n *Node) durability() Durability {
	c := n.driver.Durability(false)
	d := Durability{Replicated: c.Replicated, Unprotected: c.Unprotected, Recovering: c.Recovering,
		Standbys: c.Standbys, StandbyBytes: c.Bytes}
	for _, b := range n.driver.Backlogs() {
		if b.Silent >= behindAfter {
			d.Behind = append(d.Behind, BehindMember{b.Member, b.Said, b.Bytes, b.Silent})
		}
	}
	slices.SortFunc(d.Behind, func(a, b BehindMember) int { return strings.Compare(a.Name, b.Name) })
	return d
}

// SilentMember is a member that gossips and has not answered over the transport
// for 10 s: a half-open network, a process that is stopped and started, a wrong
// advertised address. It blocks every partition that it has to be asked for,
// which this node will not decide by itself: it may serve others. See Evict.
type SilentMember struct {
	Name  string // slot/boot
	Addr  string
	Since time.Time // when it answered last, or was seen first
	Err   error     // of the last try
}

// WaitingFor is a member whose answer this node needs before it may run
// sessions of some partitions.
type WaitingFor struct {
	Name       string // slot/boot
	Partitions int
}

// Health returns what is wrong at this moment. It may be called at any time. It looks at each session that
// has standbys (a million: some 0.2 s).
func (n *Node) Health() Health {
	n.must()
	h := Health{Ready: n.Ready(), Draining: n.draining.Load(), Memory: n.table.OverMemory(),
		Waiting: n.waitingFor(), Durability: n.durability()}
	view := n.routes.Load().View
	h.Differing = n.differences(view)
	for _, m := range view.Members {
		if since, err, silent := n.roster.Silent(m.Name()); silent {
			h.Silent = append(h.Silent, SilentMember{m.Name(), m.Addr, since, err})
		}
	}
	return h
}

// waitingFor returns who has not answered to claims of partitions.
func (n *Node) waitingFor() (all []WaitingFor) {
	for name, partitions := range n.driver.WaitingFor() {
		all = append(all, WaitingFor{name, partitions})
	}
	slices.SortFunc(all, func(a, b WaitingFor) int { return strings.Compare(a.Name, b.Name) })
	return all
}
