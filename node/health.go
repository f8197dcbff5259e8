package node

import (
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/handover"
)

// NodeHealth is how a node is, and what keeps it from its work, as it knows that itself. A node that is
// well has an empty Ready, Memory, Silent and Lost, and an empty Waiting and no Misplaced but for
// moments after the members have changed. It has plain values only, and marshals to JSON.
type NodeHealth struct {
	Name    string    // slot/boot
	Addr    string    // host:port for other nodes
	Cluster string    // Config.Cluster
	Zone    string    // Config.Zone
	Version string    // of the program's main module, as its build information has it; "": unknown
	Wire    int       // the newest version of the protocol between nodes that it speaks
	Ring    string    // of the settings of consistent hashing, which must be equal on all nodes
	Started time.Time `msgpack:"-"`

	Ready  string // what Node.Ready says; "": it is ready
	Memory string // why it takes no more sessions: its heap is above Config.MemoryMark; "": it does

	Progress   Progress
	Members    map[string]int       // that it sees, itself included, by state: "joining", "serving", "draining"
	Partitions map[HoldingState]int // how it stands to them
	Share      float64              // of the partitions that are its own by the ring, to an equal share of all; 1 is fair
	Misplaced  int                  // sessions that are here and are another member's by the ring
	// GossipScore is how much this node doubts itself, as its probes fail or come late: 0 is well, 8
	// the worst. It is slow to declare others dead then.
	GossipScore int

	Lost    []LostMember   // in the last ten minutes, sorted by name; one that comes back is no longer here
	Silent  []SilentMember // sorted by name
	Waiting []WaitingFor   // sorted by name
	// Durability is about standbys (sessionproc.KindConfig.Replicas).
	Durability Durability
	// Differing are the members that were given other kinds than this node, sorted by
	// name. During a deploy there are some; afterwards there should be none.
	Differing []Difference
	Kinds     []KindInfo // that it was given, sorted by name
}

// LostMember is a member that was taken for dead. The sessions that have no standbys ended with it.
type LostMember struct {
	Name     string    // slot/boot
	Addr     string    // host:port
	Since    time.Time `msgpack:"-"`
	Sessions int       // that it had, as it last said; that is up to 5 s before
}

// KindInfo is a kind that a node was given.
type KindInfo struct {
	Name     string
	Schema   int    // KindConfig.Schema
	Contract string // a hash of the names of its methods, notices and events; equal ones differ in none
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
	Name  string    // slot/boot
	Addr  string    // host:port
	Since time.Time `msgpack:"-"` // when it answered last, or was seen first
	Cause string    // of the last try
}

// WaitingFor is a member whose answer this node needs before it may run
// sessions of some partitions.
type WaitingFor struct {
	Name       string // slot/boot
	Partitions int
}

// Health returns how this node is at this moment, without asking any other. It may be called at any
// time, and be scraped: it takes some 0.1 ms. Durability.Unprotected and Recovering take longer, as
// each session that has standbys is looked at (a million: some 0.2 s), so these may be up to a
// hundred times as old as that takes.
func (n *Node) Health() NodeHealth {
	n.must()
	r := n.routes.Load()
	h := NodeHealth{Name: n.self.Name(), Addr: n.self.Addr, Cluster: n.cfg.Cluster, Zone: n.cfg.Zone,
		Version: programVersion(), Wire: int(n.self.Wire[1]), Ring: ringName(n.self.Fingerprint), Started: n.started,
		Ready: textOf(n.Ready()), Memory: textOf(n.table.OverMemory()), Progress: n.Progress(),
		Members: map[string]int{}, Partitions: map[HoldingState]int{},
		GossipScore: n.cluster.HealthScore(), Lost: n.lost(), Waiting: n.waitingFor(), Durability: n.durability(),
		Differing: n.differences(r.View), Kinds: n.kindInfos()}
	for _, m := range r.View.Members {
		h.Members[m.State.String()]++
		if since, err, silent := n.roster.Silent(m.Name()); silent {
			h.Silent = append(h.Silent, SilentMember{m.Name(), m.Addr, since, textOf(err)})
		}
	}
	own := 0
	n.driver.EachPart(func(part int, p handover.Part) {
		h.Partitions[holdingOf(p)]++
		if owner := r.Owners[part]; owner != nil && owner.Remote == nil {
			own++
		} else {
			h.Misplaced += n.table.Count(part)
		}
	})
	if serving := h.Members[cluster.Serving.String()]; serving > 0 {
		h.Share = float64(own*serving) / float64(len(r.Owners))
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

// lost returns the members that are taken for dead.
func (n *Node) lost() (all []LostMember) {
	for _, m := range n.driver.Lost() {
		all = append(all, LostMember{m.Name, m.Addr, m.Since, n.roster.LastSessions(m.Name)})
	}
	slices.SortFunc(all, func(a, b LostMember) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// textOf is the text of an error; "" of nil.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
