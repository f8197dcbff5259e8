package handover

import (
	"math"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

const (
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

// Plan returns the speed of a drain that begins now and has DrainTimeout, and how long it takes.
func (d *Driver) Plan(sessions int) (perSecond float64, takes time.Duration) {
	within := planSlack * planShare * d.env.DrainTimeout.Seconds()
	perSecond = min(max(handoffRate(d.env.HandoffRate), float64(sessions)/within), d.speed())
	return perSecond, timeFor(sessions, perSecond)
}

// timeFor is how long so many sessions take.
func timeFor(sessions int, rate float64) time.Duration {
	return time.Duration(min(float64(sessions)/rate*float64(time.Second), math.MaxInt64/2))
}

// Forecast is how a drain goes on.
type Forecast struct {
	Rate  float64 // sessions per second that are expected
	Seen  float64 // that there were lately
	Best  float64 // that there were in the best second of historySpan
	Rises bool    // there are more and more
	Young bool    // there has been less time than meterSpan
	Takes time.Duration
}

// longSight is how far a forecast looks back, beside meterSpan. A machine that is busy is
// slow for seconds, as while the garbage of a large node is collected, and then is not.
const longSight = 10 * time.Second

// Foresee says how long it takes until so many sessions have moved: by the plan of the
// drain, and the longer that goes on, by what it did in the last seconds.
func (d *Driver) Foresee(sessions int) (f Forecast) {
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
	f.Rises = float64(last) > risingBy*float64(both-last)
	window := took.Seconds()
	f.Young = took < meterSpan
	f.Seen = float64(moved) / max(window, meterTick.Seconds())
	f.Best = max(float64(most), f.Seen)
	switch {
	case moved > 0:
		trust := max(0, (meterSpan-took).Seconds()/4) // of the plan, as if that had been kept so long
		f.Rate = max((float64(moved)+plan*trust)/max(window+trust, meterTick.Seconds()), 1e-3)
		if longTook > meterSpan {
			f.Rate = (f.Rate + float64(long)/longTook.Seconds()) / 2
		}
	case begun.IsZero(): // it begins just now
		f.Rate = plan
	case all > 0: // it stands still
		f.Rate = float64(all) / elapsed.Seconds()
	case now.After(done): // nothing has moved yet: it takes as long again as it has taken so far
		f.Rate = float64(sessions) / max(elapsed.Seconds(), 1)
	default:
		f.Rate = plan
	}
	f.Takes = timeFor(sessions, f.Rate)
	return f
}

// speed is how many sessions per second can be expected to move if time is short.
func (d *Driver) speed() float64 {
	tr := &d.traffic
	tr.mu.Lock()
	defer tr.mu.Unlock()
	speed := max(plannedSpeed, tr.best)
	if mean := tr.meanLocked(); mean > 0 && d.bound.perSecond() > 0 {
		speed = min(speed, d.bound.perSecond()/mean)
	}
	return speed
}

// DrainUntil sets the goal of the hand-over to half of the time until the
// deadline of a drain, unless an earlier goal is set. The other half is a
// reserve.
func (d *Driver) DrainUntil(deadline time.Time) {
	now := time.Now()
	done := now.Add(time.Duration(planShare * float64(deadline.Sub(now))))
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &d.bulk
	if !b.drains {
		b.begun, b.had = now, d.traffic.moved()
	}
	if !b.drains || done.Before(b.done) {
		b.drains, b.done = true, done
	}
	b.recount()
	lifetime.Signal(d.kick)
}

// Traffic is what has moved so far, and how fast.
type Traffic struct {
	Moved, Taken int64
	Bytes        int64   // sent of sessions, those sent again included
	PerSecond    float64 // sessions that went away per second while any did; 0: not known
	Mean         float64 // bytes of a session; 0: none was sent
}

// Traffic returns what has moved so far.
func (d *Driver) Traffic() Traffic {
	tr := &d.traffic
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return Traffic{tr.away, tr.taken, tr.bytes, tr.rateLocked(), tr.meanLocked()}
}

// Moves reports whether sessions have moved away lately.
func (d *Driver) Moves() bool { return d.traffic.moves() }
