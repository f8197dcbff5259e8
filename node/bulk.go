package node

import (
	"math"
	"time"
)

// bulk paces the hand-over of the sessions that nobody waits for: it leaves the
// machine to requests, as long as there is time. It is guarded by driver.mu.
type bulk struct {
	rate   float64       // sessions per second: Config.HandoffRate, or infinite
	within time.Duration // in which it is to be done, without a drain
	drains bool
	begun  time.Time // of the drain
	had    int64     // sessions that had moved away before
	done   time.Time // when it is to be done

	credit float64   // sessions that are due
	until  time.Time // until when credit was given
	pace   float64   // sessions per second, at that time
	left   int       // sessions that are left, less those that were sealed since
	looked time.Time // when they were counted
	behind bool      // fewer moved then than have to
}

const (
	// bulkSlack is how much of a delay is made up for at once: the timers of a busy machine
	// are late. What it does not make up for makes the pace rise, as time goes on.
	bulkSlack = 50 * time.Millisecond

	// Credit gathers for bulkBatch sessions, but no longer than longestBeat: many together
	// cost a quarter of the CPU that they cost one by one, and each is away a little longer.
	bulkBatch    = 128
	shortestBeat = 2 * time.Millisecond
	longestBeat  = 25 * time.Millisecond

	recountTime = 50 * time.Millisecond

	fullSpeed = 1 << 20 // sessions per second that no machine moves
)

// handoffRate is Config.HandoffRate as a bulk has it.
func handoffRate(perSecond int) float64 {
	if perSecond >= fullSpeed {
		return math.Inf(1)
	}
	return float64(perSecond)
}

// begin notes that there is something to hand over, after there was nothing.
func (b *bulk) begin() {
	if !b.drains {
		b.done = time.Now().Add(b.within)
	}
}

// recount notes that more is left than was known.
func (b *bulk) recount() { b.looked = time.Time{} }

// due returns how many sessions are due, of which count says how many are left, and how
// many moved in the last second. pressed: the pace is above HandoffRate, or they do not
// keep up with what is needed, as time is short.
func (b *bulk) due(now time.Time, count func() (left, lately int)) (n int, pressed bool) {
	if now.Sub(b.looked) > recountTime {
		left, lately := count()
		b.left, b.looked = left, now
		b.behind = float64(left) > float64(lately)*b.done.Sub(now).Seconds()
	}
	b.pace = b.plan(now, b.left)
	since := min(now.Sub(b.until), bulkSlack)
	b.until = now
	if math.IsInf(b.pace, 1) {
		b.credit = 0
		return math.MaxInt, true
	}
	b.credit = min(b.credit+b.pace*since.Seconds(), max(1, b.pace*bulkSlack.Seconds()))
	if b.credit < min(bulkBatch, b.pace*b.beat()) {
		return 0, b.behind || b.pace > b.rate
	}
	return int(b.credit), b.behind || b.pace > b.rate
}

// plan is how many of so many sessions are to move per second from now on.
func (b *bulk) plan(now time.Time, sessions int) float64 {
	remains := b.done.Sub(now)
	if remains <= 0 {
		return math.Inf(1)
	}
	return max(b.rate, float64(sessions)/remains.Seconds())
}

// spend notes that n sessions are on their way.
func (b *bulk) spend(n int) {
	b.left -= n
	if !math.IsInf(b.pace, 1) {
		b.credit -= float64(n)
	}
}

// beat is how long credit gathers, in seconds.
func (b *bulk) beat() float64 {
	return min(max(bulkBatch/b.pace, shortestBeat.Seconds()), longestBeat.Seconds())
}

// firstWindow is how many sessions may be on their way while no answer has come.
func (b *bulk) firstWindow() int {
	return int(min(b.pace*(b.beat()+firstAnswer.Seconds()), 2*bulkBatch))
}

// wait returns how long the next sessions have to wait, after due; 0: they are due.
func (b *bulk) wait() time.Duration {
	if math.IsInf(b.pace, 1) {
		return 0
	}
	missing := max(1, b.pace*b.beat()) - b.credit
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing/b.pace*float64(time.Second)) + 1 // rounded up
}

// drainUntil has the hand-over be done in half of the time until the deadline of a
// drain, or of an earlier one.
func (d *driver) drainUntil(deadline time.Time) {
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
	signal(d.kick)
}
