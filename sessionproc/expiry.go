package sessionproc

import (
	"math/bits"
	"sync"
	"time"
)

// How sessions expire. One whose time is up is found within slotTime and a tick.
const (
	slotTime  = 100 * time.Millisecond
	slotCount = 4096 // a power of two
	// At most so many sessions are looked at in one tick, in batches between which
	// the wheel is free: 1.25 million a second.
	looksPerTick = 25_000
	looksPerLock = 250
	// lookAgain is when a session is looked at that was in use when its time was up.
	lookAgain = 200 * time.Millisecond
	// arrivalTime is how long a session is left alone that has moved here, so that
	// requests which waited for the move find it.
	arrivalTime = 500 * time.Millisecond
	// spreadTime is over how long those sessions end whose time was up while the
	// process stood still or was paused.
	spreadTime = 5 * time.Second
	stoodStill = time.Second // how late a tick is to mean that
)

// expiry is a session's place in the wheel; 32 bytes. Only sessions of kinds with
// an IdleTimeout or a Lifetime have one.
type expiry struct {
	next  *expiry  // guarded by the wheel's mu
	pprev **expiry // guarded by the wheel's mu: what points here; nil: it is in no slot
	p     *process
	ends  int64 // when its Lifetime is up, since epoch; 0: never. Written under the session's and the wheel's mu
}

// wheel holds the sessions that may expire, by the time when they are to be looked
// at next. Use does not touch it: a session that was used meanwhile is put off when
// its slot comes up, as is one whose time is farther away than the wheel reaches.
type wheel struct {
	mu       sync.Mutex
	slots    []*expiry // guarded by mu, as all below
	next     int64     // the slot to be looked at next, counted from epoch
	from, to int64     // between these the process stood still
}

func newWheel(now int64) *wheel {
	return &wheel{slots: make([]*expiry, slotCount), next: now / int64(slotTime)}
}

// mayExpire reports whether sessions of the kind need an expiry.
func (c *KindConfig) mayExpire() bool { return c.IdleTimeout > 0 || c.Lifetime > 0 }

// add puts a session in.
func (w *wheel) add(e *expiry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(e, w.deadlineLocked(e))
}

// arrive puts a session in that has moved here.
func (w *wheel) arrive(e *expiry, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(e, max(now+int64(arrivalTime), w.deadlineLocked(e)))
}

// again has a session looked at once more a little later.
func (w *wheel) again(e *expiry, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(e, now+int64(lookAgain))
}

func (w *wheel) putLocked(e *expiry, at int64) {
	slot := (at + int64(slotTime) - 1) / int64(slotTime)
	slot = max(w.next, min(slot, w.next+slotCount-1))
	head := &w.slots[slot&(slotCount-1)]
	if e.next = *head; e.next != nil {
		e.next.pprev = &e.next
	}
	e.pprev, *head = head, e
}

// remove takes a session out, if it is in.
func (w *wheel) remove(e *expiry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeLocked(e)
}

func (w *wheel) removeLocked(e *expiry) {
	if e.pprev == nil {
		return
	}
	*e.pprev = e.next
	if e.next != nil {
		e.next.pprev = e.pprev
	}
	e.next, e.pprev = nil, nil
}

// change gives a session, whose lock is held, another end of its Lifetime.
func (w *wheel) change(e *expiry, ends int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.ends = ends
	if e.pprev != nil {
		w.removeLocked(e)
		w.putLocked(e, w.deadlineLocked(e))
	}
}

// deadlineLocked is when a session expires if nobody uses it.
func (w *wheel) deadlineLocked(e *expiry) int64 {
	at := e.ends
	if idle := int64(e.p.kind.cfg.IdleTimeout); idle > 0 {
		if until := e.p.last.Load() + idle; at == 0 || until < at {
			at = until
		}
	}
	if at > w.from && at <= w.to {
		at = w.to + spread(e.p.born)
	}
	return at
}

// spread is a time below spreadTime that differs from session to session.
func spread(born uint64) int64 {
	share, _ := bits.Mul64(born*0x9e3779b97f4a7c15, uint64(spreadTime))
	return int64(share)
}

// stood says that from one time to another nobody could use any session. Those
// whose time was up between them end over the next spreadTime.
func (w *wheel) noteStandstill(from, to int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to == 0 || from > w.to+int64(spreadTime) { // else the last time is not over
		w.from = from
	}
	w.to = to
}

// due returns sessions whose time is up, out of the wheel, after at most
// looksPerLock looks; over: that were all.
func (w *wheel) due(now int64, into []*expiry) (due []*expiry, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for looks := 0; w.next*int64(slotTime) <= now; {
		e := w.slots[w.next&(slotCount-1)]
		if e == nil {
			w.next++
			continue
		}
		if looks++; looks > looksPerLock {
			return into, false
		}
		w.removeLocked(e)
		if at := w.deadlineLocked(e); at > now {
			w.putLocked(e, at)
		} else {
			into = append(into, e)
		}
	}
	return into, true
}

// expire ends the sessions whose time is up, as many as fit into a tick. gap is
// how long ago it was called last.
func (t *Table) expire(now int64, gap time.Duration) {
	w := t.wheel
	if w == nil {
		return
	}
	paused := t.PausedBy() != nil
	if paused || gap > stoodStill {
		w.noteStandstill(now-int64(gap), now)
	}
	var buf [looksPerLock]*expiry
	for looks := 0; looks < looksPerTick && !paused; looks += looksPerLock {
		due, over := w.due(now, buf[:0])
		for _, e := range due {
			e.p.expire(e, now)
		}
		t.notice()
		if t.clock.advance(); over {
			return
		}
	}
}

// expire ends a session that was taken out of the wheel, unless it is in use after
// all: then it goes back. The end of its Lifetime ends it in spite of use, when the
// present handler has returned.
func (p *process) expire(e *expiry, now int64) {
	p.mu.Lock()
	old := e.ends != 0 && e.ends <= now
	idle := p.kind.cfg.IdleTimeout > 0 && p.last.Load()+int64(p.kind.cfg.IdleTimeout) <= now
	ends, stops := false, false
	switch {
	case p.phase >= phaseEnding || p.ext != nil && (p.ext.reason != "" || p.ext.renewed != nil):
	case p.phase == phaseLive && !p.running && (old || idle):
		p.beginEndLocked(ReasonExpired, nil) // nothing runs or waits
		p.running, ends = true, true
	case p.phase == phaseLive && (old || idle && !p.inUseLocked()):
		stops = true
	default:
		p.table.wheel.again(e, now)
	}
	p.mu.Unlock()
	switch {
	case ends:
		p.endIdle(ReasonExpired)
	case stops:
		(*Session)(p).Stop(ReasonExpired)
	}
}

// inUseLocked reports whether a message that counts as use is handled or waits, for a
// session whose time is up. Those that do not count, such as ticks which keep it busy all
// the time, do not keep it.
func (p *process) inUseLocked() bool {
	if p.cur != nil && !p.cur.noTouch || p.ext != nil && p.restartsLocked() {
		return true
	}
	for s := p.ext.firstInLine(); s != nil; s = s.next {
		if !s.e.noTouch {
			return true
		}
	}
	for e := p.head; e != nil; e = e.next {
		if !e.noTouch {
			return true
		}
	}
	return false
}

// expiresLocked makes the expiry of a session that begins to live here. left is
// what is left of its Lifetime.
func (p *process) expiresLocked(left time.Duration) {
	if p.kind.cfg.Lifetime > 0 {
		p.expiry = &expiry{p: p, ends: p.table.clock.now.Load() + int64(left)}
	} else if p.kind.cfg.mayExpire() {
		p.expiry = &expiry{p: p}
	}
}

// lifetimeLeft is what a snapshot tells of the Lifetime; 0: there is none. It is
// called in the session's goroutine.
func (p *process) lifetimeLeft() time.Duration {
	if p.expiry == nil || p.expiry.ends == 0 {
		return 0
	}
	left := time.Duration(p.expiry.ends - p.table.clock.now.Load())
	if left == 0 {
		return -1
	}
	return left
}

// lifetimeOf is what is left to a session that comes with what its snapshot tells:
// never more than its kind gives here. 0: it came from where there is no Lifetime,
// and it is counted from now on.
func (c *KindConfig) lifetimeOf(told time.Duration) time.Duration {
	if told == 0 {
		return c.Lifetime
	}
	return min(told, c.Lifetime)
}

// touch counts as use of session id.
func (t *Table) touch(part int, id string) error {
	if why := t.PausedBy(); why != nil {
		return why
	}
	p, err := t.look(part, id)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase >= phaseRenewed && !p.worksLocked() {
		return p.tooLateLocked()
	}
	p.touch()
	return nil
}
