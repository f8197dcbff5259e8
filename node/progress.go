package node

import (
	"math"
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
	// PerSecond is how many sessions moved away per second: in the last 3 seconds of
	// a drain, and afterwards or without one, while any moved. 0: none has.
	PerSecond float64
	Left      time.Duration // about, until nothing is here; 0: not draining, or not known
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
	if p.Draining = begun != nil; !p.Draining || p.Sessions == 0 {
		return p
	}
	f := n.driver.foresee(p.Sessions)
	if p.PerSecond = f.seen; f.seen > 0 || f.young {
		p.Left = f.takes
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

const (
	// drainBase is for the members to know, and for the last session to be acknowledged.
	drainBase = 500 * time.Millisecond

	// plannedSpeed is what is expected, in sessions per second, of a machine that has not
	// shown what it can do: two nodes on two cores move twice as many.
	plannedSpeed = 40_000

	// planShare is the part of a drain's time after which it is to be done.
	planShare = 0.5

	// risingBy is how many times as many sessions as in the second before have to move in
	// the last one for the speed to count as rising.
	risingBy = 1.2

	// planSlack is by how much longer a drain is expected to take than it is planned to,
	// before it has begun: its deadline is not known.
	planSlack = 1.25
)

// DrainEstimate says what a Drain that began now would have to do and about how long it
// would take if it had DrainTimeout; with more time it takes more of it, as it leaves the
// machine to requests. While the node drains it says the same of what is left, by
// the deadline of that drain and by what it has done in the last 3 and in the last 10
// seconds, or if that is nothing, since it began. A handler that takes longer is not
// foreseen.
func (n *Node) DrainEstimate() Estimate {
	e := Estimate{Sessions: n.must().table.Len()}
	tr := &n.driver.traffic
	tr.mu.Lock()
	e.Bytes = int64(tr.meanLocked() * float64(e.Sessions))
	tr.mu.Unlock()
	if e.Sessions == 0 {
		return e
	}
	if n.draining.Load() != nil {
		f := n.driver.foresee(e.Sessions)
		e.PerSecond, e.Seen, e.Takes = f.rate, f.seen > 0, drainBase+f.takes
		return e
	}
	within := planSlack * planShare * n.cfg.DrainTimeout.Seconds()
	e.PerSecond = min(max(handoffRate(n.cfg.HandoffRate), float64(e.Sessions)/within), n.driver.speed())
	e.Takes = drainBase + timeFor(e.Sessions, e.PerSecond)
	return e
}

// timeFor is how long so many sessions take.
func timeFor(sessions int, rate float64) time.Duration {
	return time.Duration(min(float64(sessions)/rate*float64(time.Second), math.MaxInt64/2))
}

// forecast is how a drain goes on.
type forecast struct {
	rate  float64 // sessions per second that are expected
	seen  float64 // that there were lately
	best  float64 // that there were in the best second of historySpan
	rises bool    // there are more and more
	young bool    // there has been less time than meterSpan
	takes time.Duration
}

// longSight is how far a forecast looks back, beside meterSpan. A machine that is busy is
// slow for seconds, as while the garbage of a large node is collected, and then is not.
const longSight = 10 * time.Second

// foresee says how long it takes until so many sessions have moved: by the plan of the
// drain, and the longer that goes on, by what it did in the last seconds.
func (d *driver) foresee(sessions int) (f forecast) {
	now := time.Now()
	d.mu.RLock()
	plan := d.bulk.plan(now, sessions)
	begun, done, had := d.bulk.begun, d.bulk.done, d.bulk.had
	d.mu.RUnlock()
	elapsed, from := now.Sub(begun), begun
	plan = min(plan, d.speed())
	d.traffic.mu.Lock()
	if elapsed < 2*meterSpan { // what came before the first one says nothing of the speed
		begun = d.traffic.lately.first(begun, now)
	}
	moved, took := d.traffic.lately.since(begun, now)
	long, longTook, _ := d.traffic.history.since(begun, now, longSight)
	_, _, most := d.traffic.history.since(from, now, historySpan)
	all := d.traffic.away - had
	last, _ := d.traffic.lately.since(now.Add(-time.Second), now)
	both, _ := d.traffic.lately.since(now.Add(-2*time.Second), now)
	d.traffic.mu.Unlock()
	f.rises = float64(last) > risingBy*float64(both-last)
	window := took.Seconds()
	f.young = took < meterSpan
	f.seen = float64(moved) / max(window, meterTick.Seconds())
	f.best = max(float64(most), f.seen)
	switch {
	case moved > 0:
		trust := max(0, (meterSpan-took).Seconds()/4) // of the plan, as if that had been kept so long
		f.rate = max((float64(moved)+plan*trust)/max(window+trust, meterTick.Seconds()), 1e-3)
		if longTook > meterSpan {
			f.rate = (f.rate + float64(long)/longTook.Seconds()) / 2
		}
	case begun.IsZero(): // it begins just now
		f.rate = plan
	case all > 0: // it stands still
		f.rate = float64(all) / elapsed.Seconds()
	case now.After(done): // nothing has moved yet: it takes as long again as it has taken so far
		f.rate = float64(sessions) / max(elapsed.Seconds(), 1)
	default:
		f.rate = plan
	}
	f.takes = timeFor(sessions, f.rate)
	return f
}

// speed is how many sessions per second can be expected to move if time is short.
func (d *driver) speed() float64 {
	tr := &d.traffic
	tr.mu.Lock()
	defer tr.mu.Unlock()
	speed := max(plannedSpeed, tr.best)
	if mean := tr.meanLocked(); mean > 0 && d.bound.perSecond() > 0 {
		speed = min(speed, d.bound.perSecond()/mean)
	}
	return speed
}

// traffic counts what moves between this node and others.
type traffic struct {
	mu     sync.Mutex // guards what follows
	away   int64
	taken  int64
	sent   int64 // sessions, those sent again included
	bytes  int64 // of them
	lately meter // sessions that went away
	best   float64

	history history       // of the same
	last    time.Time     // when a session went away
	active  time.Time     // when anything of one was sent
	busy    time.Duration // how long sessions went away, pauses left out
}

// idlePause is how long nothing moves before that counts as a pause.
const idlePause = 200 * time.Millisecond

func (tr *traffic) moved() int64 {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.away
}

// standstill is how long nothing of a session is sent before that counts as an end.
const standstill = 2 * time.Second

// moves reports whether sessions have moved away lately.
func (tr *traffic) moves() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return time.Since(tr.last) < standstill || time.Since(tr.active) < standstill
}

// leave counts a session that has moved away.
func (tr *traffic) leave() {
	now := time.Now()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if since := now.Sub(tr.last); since < idlePause {
		tr.busy += since
	}
	tr.away++
	tr.history.add(now, 1)
	if tr.lately.add(now, 1); tr.away%1024 == 0 {
		n, took := tr.lately.since(now.Add(-time.Second), now)
		tr.best = max(tr.best, float64(n)/took.Seconds())
	}
	tr.last = now
}

// lastSecond is how many sessions moved away in the last second.
func (tr *traffic) lastSecond() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	now := time.Now()
	n, _ := tr.lately.since(now.Add(-time.Second), now)
	return n
}

// come counts a session that has come.
func (tr *traffic) come() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.taken++
}

// send counts sessions that were sent, and their bytes. Of a long one there are none but
// with its last bytes.
func (tr *traffic) send(sessions, bytes int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.sent += int64(sessions)
	tr.active = time.Now()
	tr.bytes += int64(bytes)
}

// meanLocked is the mean of the bytes of the sessions that were sent; 0: none was.
func (tr *traffic) meanLocked() float64 {
	return float64(tr.bytes) / float64(max(tr.sent, 1))
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
