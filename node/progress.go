package node

import (
	"time"
)

// Progress is how far a node has come with giving its sessions away. Figures
// that count are since Start.
type Progress struct {
	Draining   bool
	Partitions int   // that have sessions here
	Sessions   int   // that are here
	Tasks      int   // that run here, or whose results sessions have not taken yet
	Moved      int64 // sessions that went to other members
	Taken      int64 // sessions that came from other members
	Bytes      int64 // sent of sessions, those sent again included
	// PerSecond is how many sessions moved away per second: in the last 3 seconds of
	// a drain, and afterwards or without one, while any moved. 0: none has.
	PerSecond float64
	Left      time.Duration // about, until nothing is here; 0: not draining, or not known
}

// Progress returns how far this node has come. It may be called at any time.
func (n *Node) Progress() Progress {
	t := n.must().driver.Traffic()
	p := Progress{Sessions: n.table.Len(), Moved: t.Moved, Taken: t.Taken, Bytes: t.Bytes, PerSecond: t.PerSecond}
	p.Tasks, _ = n.table.Tasks()
	for part := range n.routes.Load().Ring.Partitions() {
		if n.table.Count(part) > 0 {
			p.Partitions++
		}
	}
	if p.Draining = n.draining.Load(); !p.Draining || p.Sessions == 0 {
		return p
	}
	f := n.driver.Foresee(p.Sessions)
	if p.PerSecond = f.Seen; f.Seen > 0 || f.Young {
		p.Left = f.Takes
	}
	return p
}

// Estimate is what a Drain has to do, or would have to do.
type Estimate struct {
	Sessions  int
	Bytes     int64         // of them, from the mean of those that were sent; 0: none was
	PerSecond float64       // sessions
	Seen      bool          // PerSecond is from what the drain has done so far; false: it is what is planned
	Takes     time.Duration // Sessions at PerSecond, and what is needed in any case
}

// drainBase is for the members to know, and for the last session to be acknowledged.
const drainBase = 500 * time.Millisecond

// DrainEstimate says what a Drain that began now would have to do and about how long it
// would take if it had DrainTimeout; with more time it takes more of it, as it leaves the
// machine to requests. While the node drains it says the same of what is left, by
// the deadline of that drain and by what it has done in the last 3 and in the last 10
// seconds, or if that is nothing, since it began. A handler that takes longer is not
// foreseen.
func (n *Node) DrainEstimate() Estimate {
	e := Estimate{Sessions: n.must().table.Len()}
	e.Bytes = int64(n.driver.Traffic().Mean * float64(e.Sessions))
	if e.Sessions == 0 {
		return e
	}
	if n.draining.Load() {
		f := n.driver.Foresee(e.Sessions)
		e.PerSecond, e.Seen, e.Takes = f.Rate, f.Seen > 0, drainBase+f.Takes
		return e
	}
	e.PerSecond, e.Takes = n.driver.Plan(e.Sessions)
	e.Takes += drainBase
	return e
}
