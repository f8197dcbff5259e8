package engine

import (
	"sync/atomic"
	"time"
)

// Timers of Notice.At are for a wall time, while what the runtime arms counts the monotonic time. Each is
// aimed anew whenever it matters: when it is armed, before it fires, when its session is saved. A clock that
// is set back is noticed when the timer would fire. One that is set on, or of a machine that slept, is
// noticed by the table's loop, which arms the timers of all sessions anew.

// aimLocked sets when a timer of At is due, by what the clocks show now.
func (p *process) aimLocked(tm *timer, now time.Time) {
	if tm.at == 0 {
		return
	}
	t := p.table()
	t.walls.used.Store(true)
	tm.due = now.Add(time.Duration(tm.at - t.clock.wallAt(now)))
}

// walls has timers of At follow the wall clock. All but used belongs to the table's loop.
type walls struct {
	used  atomic.Bool // some session has, or had, a timer of At
	ahead int64       // how far the wall clock was ahead of the monotonic one when all were armed anew
	next  int         // the next partition whose timers are armed anew
	some  []*process
}

// wallDrift is how far the wall clock may run away from the monotonic one before timers are armed anew. A
// clock that is slewed, by at most 8 % or so, is followed each 3 s.
const wallDrift = 250 * time.Millisecond

// step arms the timers of At anew if the wall clock has been set or has drifted: of so many sessions at a
// tick as expiry looks at.
func (w *walls) step(t *Table) {
	ahead := t.clock.wall.Load() - t.clock.now.Load()
	if !w.used.Load() {
		w.ahead, w.next = ahead, len(t.parts)
		return
	}
	if drift := ahead - w.ahead; max(drift, -drift) >= int64(wallDrift) {
		w.ahead, w.next = ahead, 0
	}
	for looks := 0; w.next < len(t.parts) && looks < looksPerTick; w.next++ {
		w.some = t.parts[w.next].sessions(w.some[:0])
		for _, p := range w.some {
			p.aimAgain()
		}
		looks += len(w.some)
		clear(w.some) // it keeps no session
	}
}

// aimAgain arms the session's timers anew if some are of At. What is overdue fires.
func (p *process) aimAgain() {
	p.mu.Lock()
	start := false
	if p.phase <= phaseLive && p.ext != nil && p.ext.timers != nil && p.ext.timers.walls {
		p.armAllLocked()
		start = !p.running && p.head != nil
		p.running = p.running || start
	}
	p.mu.Unlock()
	if start {
		p.table().workers.run(p, nil)
	}
}
