package handover

import (
	"math"
	"time"
)

// A bulk paces the hand-over of the sessions that no request waits for. As long
// as there is time, it leaves the machine to requests. Driver.mu guards it.
//
// The pace is Config.HandoffRate, or more if the sessions would not move in
// time otherwise. Sessions become due as credit: pace times the time since the
// last call, gathered until a batch is worth its fixed costs. A session that has
// standbys costs more, as they are made anew.
type bulk struct {
	rate    float64       // per second: Config.HandoffRate, or infinite
	gathers time.Duration // how long credit gathers at most
	within  time.Duration // how long a hand-over without a drain may take
	drains  bool          // the node drains
	begun   time.Time     // when the drain began
	had     int64         // sessions that had moved away before the drain
	done    time.Time     // when the hand-over should be complete

	credit float64   // sessions without standbys that are due
	until  time.Time // the time up to which credit was given
	pace   float64   // credit per second, as of until
	cost   float64   // of a session, in the mean of those that have moved lately; 0: not known
	left   int       // sessions that are left: the last count, less those sealed since
	looked time.Time // when they were counted
	behind bool      // at the last count, fewer sessions moved than have to
}

const (
	// bulkSlack bounds the time beyond gathers for which credit is given at once. The timers of
	// a busy machine are late, and without a bound a late one would release a burst. A longer
	// delay raises the pace instead, because less time is left.
	bulkSlack = 25 * time.Millisecond

	// Credit gathers for bulkBatch sessions, but no longer than bulk.gathers. A batch costs a
	// quarter of the processor time of the same sessions one by one, and each of them is
	// away a little longer.
	bulkBatch    = 128
	shortestBeat = 2 * time.Millisecond
	longestBeat  = 25 * time.Millisecond
	repairBeat   = 128 * time.Millisecond // nobody is away meanwhile

	recountTime = 50 * time.Millisecond
	costMemory  = 32 // sessions

	fullSpeed = 1 << 20 // sessions per second; more than any machine moves
)

// handoffRate converts Config.HandoffRate to the rate of a bulk.
func handoffRate(perSecond int) float64 {
	if perSecond >= fullSpeed {
		return math.Inf(1)
	}
	return float64(perSecond)
}

// begin is called when there is something to hand over again.
func (b *bulk) begin() {
	if !b.drains {
		b.done = time.Now().Add(b.within)
	}
}

// recount is called when more sessions are left than were counted.
func (b *bulk) recount() { b.looked = time.Time{} }

// due returns how many sessions are due. count returns how many are left, and
// how many moved in the last second. pressed reports whether time is short: the
// pace is above HandoffRate, or the sessions move more slowly than they have
// to.
func (b *bulk) due(now time.Time, count func() (left, lately int)) (n int, pressed bool) {
	if now.Sub(b.looked) > recountTime {
		left, lately := count()
		b.left, b.looked = left, now
		b.behind = float64(left) > float64(lately)*b.done.Sub(now).Seconds()
	}
	b.pace = b.plan(now, b.left)
	most := b.gathers + bulkSlack
	since := min(now.Sub(b.until), most)
	b.until = now
	if math.IsInf(b.pace, 1) {
		b.credit = 0
		return math.MaxInt, true
	}
	b.credit = min(b.credit+b.pace*since.Seconds(), max(1, b.pace*most.Seconds()))
	if b.credit < min(bulkBatch, b.pace*b.beat()) {
		return 0, b.behind || b.pace > b.rate
	}
	return max(1, int(b.credit/b.each())), b.behind || b.pace > b.rate
}

// each is what a session costs.
func (b *bulk) each() float64 { return max(1, b.cost) }

// plan returns how much credit per second is to be given from now on.
func (b *bulk) plan(now time.Time, sessions int) float64 {
	remains := b.done.Sub(now)
	if remains <= 0 {
		return math.Inf(1)
	}
	return max(b.rate, float64(sessions)*b.each()/remains.Seconds())
}

// spend records that a session that has some standbys is on its way.
func (b *bulk) spend(standbys int) {
	cost := float64(1 + standbys)
	b.cost = b.each() + (cost-b.each())/costMemory
	b.left--
	if !math.IsInf(b.pace, 1) {
		b.credit -= cost
	}
}

// beat returns how long credit gathers, in seconds.
func (b *bulk) beat() float64 {
	return min(max(bulkBatch/b.pace, shortestBeat.Seconds()), b.gathers.Seconds())
}

// firstWindow returns how many sessions may be on their way while no answer has
// come.
func (b *bulk) firstWindow() int {
	return int(min(b.pace*(b.beat()+firstAnswer.Seconds()), 2*bulkBatch))
}

// wait returns how long the next sessions have to wait after a call of due, or
// 0.
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

// firstAnswer is the expected time of an answer while none has come.
const firstAnswer = 5 * time.Millisecond
