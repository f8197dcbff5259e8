package node

import (
	"sync"
	"time"
)

// Progress is how far a node has come with giving its sessions away. Figures
// that count are since Start.
type Progress struct {
	Draining   bool
	Partitions int   // that have sessions here
	Sessions   int   // that are here
	Moved      int64 // sessions that went to other members
	Taken      int64 // sessions that came from other members
	Bytes      int64 // sent of sessions, those sent again included
	// PerSecond is how many sessions moved away per second: since the drain
	// began, or else while any moved. 0: none has.
	PerSecond float64
	Left      time.Duration // until nothing is here, at that rate; 0: not draining, or not known
}

// Progress returns how far this node has come. It may be called at any time.
func (n *Node) Progress() Progress {
	tr := &n.must().driver.traffic
	p := Progress{Sessions: n.table.Len()}
	for part := range n.driver.parts {
		if n.table.Count(part) > 0 {
			p.Partitions++
		}
	}
	tr.mu.Lock()
	p.Moved, p.Taken, p.Bytes, p.PerSecond = tr.away, tr.taken, tr.bytes, tr.rateLocked()
	tr.mu.Unlock()
	begun := n.draining.Load()
	if p.Draining = begun != nil; !p.Draining {
		return p
	}
	p.PerSecond = float64(p.Moved-begun.moved) / max(time.Since(begun.begun), time.Millisecond).Seconds()
	if p.PerSecond > 0 {
		p.Left = time.Duration(float64(p.Sessions) / p.PerSecond * float64(time.Second))
	}
	return p
}

// Estimate is what a Drain would have to do.
type Estimate struct {
	Sessions  int
	Bytes     int64         // of them, from the mean of those that were sent; 0: none was
	PerSecond float64       // sessions
	Seen      bool          // PerSecond is what this node has seen; false: Config.HandoffRate, or more if DrainTimeout asks for it
	Takes     time.Duration // Sessions at PerSecond, and what is needed in any case
}

// drainBase is for the members to know, and for the last session to be acknowledged.
const drainBase = 500 * time.Millisecond

// DrainEstimate says what a Drain that began now would have to do and about how
// long it would take, by the rate that was seen when sessions moved before. A
// handler that takes longer is not foreseen.
func (n *Node) DrainEstimate() Estimate {
	tr := &n.must().driver.traffic
	tr.mu.Lock()
	defer tr.mu.Unlock()
	e := Estimate{Sessions: n.table.Len(), PerSecond: tr.rateLocked()}
	if e.Seen = e.PerSecond > 0; !e.Seen {
		e.PerSecond = max(float64(n.cfg.HandoffRate), float64(e.Sessions)/(n.cfg.DrainTimeout/2).Seconds())
	}
	if tr.away > 0 {
		e.Bytes = tr.bytes / tr.away * int64(e.Sessions)
	}
	if e.Sessions > 0 {
		e.Takes = drainBase + time.Duration(float64(e.Sessions)/e.PerSecond*float64(time.Second))
	}
	return e
}

// traffic counts what moves between this node and others.
type traffic struct {
	mu    sync.Mutex // guards what follows
	away  int64
	taken int64
	bytes int64
	last  time.Time     // when a session went away
	busy  time.Duration // how long sessions went away, pauses left out
}

// idlePause is how long nothing moves before that counts as a pause.
const idlePause = 200 * time.Millisecond

func (tr *traffic) moved() int64 {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.away
}

// leave counts a session that has moved away.
func (tr *traffic) leave() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	now := time.Now()
	if since := now.Sub(tr.last); since < idlePause {
		tr.busy += since
	}
	tr.away++
	tr.last = now
}

// come counts a session that has come.
func (tr *traffic) come() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.taken++
}

// send counts bytes of sessions that were sent.
func (tr *traffic) send(bytes int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.bytes += int64(bytes)
}

// leastBusy is the least time that a rate is drawn from.
const leastBusy = 10 * time.Millisecond

// rateLocked is how many sessions went away per second while any did; 0: not known.
func (tr *traffic) rateLocked() float64 {
	if tr.busy < leastBusy {
		return 0
	}
	return float64(tr.away) / tr.busy.Seconds()
}
