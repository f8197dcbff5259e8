package engine

import (
	"math/bits"
	"sync"
	"time"
)

// An expiry is the place of a session in the wheel, 32 bytes. Only sessions of kinds with an
// IdleTimeout or a Lifetime have one.
type expiry struct {
	next  *expiry  // guarded by the wheel's mu
	pprev **expiry // guarded by the wheel's mu: the pointer to this expiry; nil if it is in no slot
	p     *process
	ends  int64 // end of the Lifetime, since epoch; 0: none. Written under the session's and the wheel's mu
}

// A wheel holds the sessions that may expire, by the time at which each is checked next. A message
// does not touch the wheel; it only stores the time of use in the session. When the slot of a
// session comes, the session moves on to the slot of its present deadline. The same happens to a
// deadline beyond the reach of the wheel, which is slotCount * slotTime, or 6.8 minutes. So a
// session costs the wheel work about once per IdleTimeout, however often it is used.
type wheel struct {
	mu       sync.Mutex
	slots    []*expiry // guarded by mu, as all below
	next     int64     // the next slot to check, counted from epoch
	from, to int64     // the last time during which no session could be used
}

func newWheel(now int64) *wheel {
	return &wheel{slots: make([]*expiry, slotCount), next: now / int64(slotTime)}
}

// add adds a session.
func (w *wheel) add(e *expiry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(e, w.deadlineLocked(e))
}

// arrive adds a session that has moved here.
func (w *wheel) arrive(e *expiry, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(e, max(now+int64(arrivalTime), w.deadlineLocked(e)))
}

// again adds a session to be checked once more a little later.
func (w *wheel) again(e *expiry, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(e, now+int64(lookAgain))
}

// putLocked puts a session into the slot that begins at or after a time, within the reach of the
// wheel. It rounds up, so that a session is not checked before its time is over.
func (w *wheel) putLocked(e *expiry, at int64) {
	slot := (at + int64(slotTime) - 1) / int64(slotTime)
	slot = max(w.next, min(slot, w.next+slotCount-1))
	head := &w.slots[slot&(slotCount-1)]
	if e.next = *head; e.next != nil {
		e.next.pprev = &e.next
	}
	e.pprev, *head = head, e
}

// remove removes a session, if it is in a slot.
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

// change changes the end of a session's Lifetime. The caller holds the session's mu.
func (w *wheel) change(e *expiry, ends int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.ends = ends
	if e.pprev != nil {
		w.removeLocked(e)
		w.putLocked(e, w.deadlineLocked(e))
	}
}

// deadlineLocked returns the time at which a session expires if it is not used. A time within the
// last standstill is put off by up to spreadTime.
func (w *wheel) deadlineLocked(e *expiry) int64 {
	at := e.ends
	if idle := int64(e.p.Kind.Settings.IdleTimeout); idle > 0 {
		if until := e.p.last.Load() + idle; at == 0 || until < at {
			at = until
		}
	}
	if at > w.from && at <= w.to {
		at = w.to + spread(e.p.born)
	}
	return at
}

// spread returns a duration below spreadTime that differs from session to session.
func spread(born uint64) int64 {
	share, _ := bits.Mul64(born*0x9e3779b97f4a7c15, uint64(spreadTime))
	return int64(share)
}

// noteStandstill records that no session could be used between two times. Sessions whose time was
// over in between end over the next spreadTime. A standstill soon after another one continues it.
func (w *wheel) noteStandstill(from, to int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to == 0 || from > w.to+int64(spreadTime) { // otherwise the last spread is not over yet
		w.from = from
	}
	w.to = to
}

// due removes sessions whose time is over from the wheel and returns them, after at most
// looksPerLock checks. over reports that there are no more.
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

// Sessions expire by a timing wheel. A session whose time is over is found within slotTime and a
// tick.
const (
	slotTime  = 100 * time.Millisecond
	slotCount = 4096 // a power of two
	// looksPerTick bounds the sessions that are checked in one tick: 1.25 million a second. They
	// are checked in batches of looksPerLock, between which the wheel's lock is free for starts.
	looksPerTick = 25_000
	looksPerLock = 250
	// lookAgain is when a session is checked again that was in use when its time was over.
	lookAgain = 200 * time.Millisecond
	// arrivalTime is how long a session that has moved here does not expire, so that requests which
	// waited for the move still find it.
	arrivalTime = 500 * time.Millisecond
	// spreadTime is the time over which those sessions end whose time was over while the operating
	// system's process stood still or the table was paused. Otherwise they would all end at once,
	// before their users had a chance to use them.
	spreadTime = 5 * time.Second
	stoodStill = time.Second // a tick that is later than this means a standstill
)
