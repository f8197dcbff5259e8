package simulation_test

import (
	"slices"
	"time"
)

// point names a moment in the life of a session at a node. What follows it is reached
// by waiting: packets take up to a millisecond.
type point string

const (
	handled  point = "handled"  // a handler has changed the state: nothing has been sent yet
	encoded  point = "encoded"  // the state is being encoded, for a standby or a move: a record follows
	answered point = "answered" // a client of the node has a reply
	sealed   point = "sealed"   // a session has gone to another node
	arrived  point = "arrived"  // a session has come from one: it has to be made safe
	promoted point = "promoted" // a standby goes on with a session of a node that has died
	ended    point = "ended"    // a session has ended: standbys are buried
	noticing point = "noticing" // a member is known to be gone: Recover, Report and Fetch follow
)

// ambush waits for a point.
type ambush struct {
	at   point
	left int
	hit  chan *place
}

const (
	patient = 5 * time.Second // with a point that does not come
	peek    = 2 * time.Millisecond
)

// pass notes that a point is reached at a place.
func (w *world) pass(at point, p *place) {
	w.ambushMu.Lock()
	defer w.ambushMu.Unlock()
	a := w.ambush
	if a == nil || a.at != at {
		return
	}
	if a.left--; a.left == 0 {
		w.ambush = nil
		a.hit <- p
	}
}

// lie waits for a point and returns where it was reached; nil: nowhere.
func (w *world) lie(s step) (p *place) {
	a := &ambush{at: s.At, left: max(s.Nth, 1), hit: make(chan *place, 1)}
	w.ambushMu.Lock()
	w.ambush = a
	w.ambushMu.Unlock()
	if s.At == noticing {
		go w.notice(a)
	}
	select {
	case p = <-a.hit:
		time.Sleep(s.After)
	case <-time.After(patient):
		w.ambushMu.Lock()
		w.ambush = nil
		w.ambushMu.Unlock()
	}
	return p
}

// notice looks at what members see until the ambush is over.
func (w *world) notice(a *ambush) {
	seen := map[*run]int{}
	for ; ; time.Sleep(peek) {
		for _, p := range w.which((*place).up) {
			r := p.run.Load()
			if r == nil {
				continue
			}
			n := len(r.Members())
			if n < seen[r] {
				w.pass(noticing, p)
			}
			seen[r] = n
		}
		w.ambushMu.Lock()
		over := w.ambush != a
		w.ambushMu.Unlock()
		if over {
			return
		}
	}
}

// ambushed waits for the point of a step and returns whom it meets, if standbys make
// up for that.
func (w *world) ambushed(s step) []*place {
	met := w.lie(s)
	if met == nil {
		return nil
	}
	able := slices.DeleteFunc(w.able(s.Do), func(p *place) bool { return !w.crashable(p) || s.Linger == (p == met) })
	if len(able) > 0 {
		w.points[s.At]++
	}
	return able
}
