package simulation_test

import (
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/nodetest"
)

// point names a moment in the life of a session at a node, or a step of a node. A crash without After comes at it:
// nothing leaves the node from then on. With an After of an instant all has left that left with the step, and
// nothing has arrived: packets take up to a millisecond.
type point string

const (
	handled  point = "handled"  // a handler has changed the state: nothing has been sent yet
	encoded  point = "encoded"  // the state is being encoded, for a standby or a move: a record follows
	answered point = "answered" // a client of the node has a reply, of a session at the peer
	gone     point = "sealed"   // a session has gone to another node
	arrived  point = "arrived"  // a session has come from one: it has to be made safe
	revived  point = "promoted" // a session of a node that has died sees that it goes on here
	ended    point = "ended"    // a session has ended: standbys are buried
	noticing point = "noticing" // a member is known to be gone: Recover, Report and Fetch follow

	sent      = point(nodetest.RecordSent)
	stored    = point(nodetest.RecordStored)
	acked     = point(nodetest.RecordAcked)
	sealed    = point(nodetest.SessionSealed)
	committed = point(nodetest.SessionCommitted)
	active    = point(nodetest.ActiveSent)
	activated = point(nodetest.ActiveHeard)
	recovers  = point(nodetest.RecoverSent)
	recovered = point(nodetest.RecoverHeard)
	reports   = point(nodetest.ReportSent)
	reported  = point(nodetest.ReportHeard)
	fetches   = point(nodetest.FetchSent)
	fetched   = point(nodetest.FetchHeard)
	content   = point(nodetest.FetchAnswered)
	promoted  = point(nodetest.SessionPromoted)
	discards  = point(nodetest.DiscardSent)
	discarded = point(nodetest.DiscardDone)
	cleared   = point(nodetest.DiscardAcked)
)

// allPoints are those of which each is to be met, in the order in which sessions meet them.
var allPoints = slices.Concat(pointsOfRecords, pointsOfMoves, pointsOfRecoveries, pointsOfPromotions)

var (
	pointsOfRecords    = append(slices.Clip(oftenMet), ended, discards, discarded, cleared)
	oftenMet           = []point{handled, encoded, sent, stored, acked, answered}
	pointsOfMoves      = []point{sealed, committed, arrived, active, activated, gone}
	pointsOfRecoveries = []point{noticing, recovers, recovered, reports, reported}
	pointsOfFetches    = []point{fetches, fetched, content}
	pointsOfPromotions = append(slices.Clip(pointsOfFetches), promoted, revived)
)

// ambush waits for the point of a step, and has a node crash there.
type ambush struct {
	step
	left int
	hit  chan *place
}

// visits counts how often a point was reached, and how many nodes crashed there: the one that reached it, or another
// one, which is the peer if it has one; or one of them a while after.
type visits struct{ reached, here, there, after int }

func (v *visits) add(o visits) {
	v.reached, v.here, v.there, v.after = v.reached+o.reached, v.here+o.here, v.there+o.there, v.after+o.after
}

const (
	instant  = time.Nanosecond  // in virtual time: all that can happen at once has happened
	patient  = 5 * time.Second  // with a point that does not come
	mourning = 12 * time.Second // the same, if a crash is to be noticed before: that takes up to 8 s
	peek     = 2 * time.Millisecond
)

// steps has a cluster tell of its nodes' steps, if crashes come at points.
func (w *world) steps() func(nodetest.Step, int, int) {
	if !w.schedule.Careful {
		return nil
	}
	return func(s nodetest.Step, node, peer int) {
		places := w.which(func(*place) bool { return true })
		var other *place
		if peer >= 0 {
			other = places[peer]
		}
		w.pass(point(s), places[node], other)
	}
}

// pass notes that a point is reached at a place, maybe together with a peer. Nodes call it with their locks held.
func (w *world) pass(at point, p, peer *place) {
	w.ambushMu.Lock()
	defer w.ambushMu.Unlock()
	w.visitsLocked(at).reached++
	a := w.ambush
	if a == nil || a.At != at {
		return
	}
	if a.left--; a.left > 0 {
		return
	}
	met := w.victims(a.step, p, peer)
	if len(met) == 0 {
		return // until the point is reached where a crash is made up for
	}
	victim := met[a.Node%len(met)]
	if a.After == 0 && !w.strike(victim, a.Do == power) {
		return
	}
	w.ambush = nil
	switch v := w.visitsLocked(at); {
	case a.After > instant:
		v.after++
	case a.Linger:
		v.there++
	default:
		v.here++
	}
	a.hit <- victim
}

func (w *world) visitsLocked(at point) *visits {
	v := w.visits[at]
	if v == nil {
		v = &visits{}
		w.visits[at] = v
	}
	return v
}

// victims returns which nodes may crash in an ambush that was met at a place.
func (w *world) victims(s step, p, peer *place) []*place {
	return slices.DeleteFunc(w.able(s.Do), func(o *place) bool {
		switch {
		case !s.Linger && o != p, s.Linger && o == p, s.Linger && peer != nil && o != peer:
			return true
		}
		return !w.crashable(o)
	})
}

// ambushed waits for the point of a step and returns which node crashes there; nil: none.
func (w *world) ambushed(s step) (p *place) {
	a := &ambush{step: s, left: max(s.Nth, 1), hit: make(chan *place, 1)}
	w.ambushMu.Lock()
	w.ambush = a
	w.ambushMu.Unlock()
	if s.At == noticing {
		go w.notice(a)
	}
	patience := patient
	if slices.Contains(pointsOfPromotions, s.At) || s.At == noticing {
		patience = mourning
	}
	select {
	case p = <-a.hit:
	case <-time.After(patience):
		w.ambushMu.Lock()
		w.ambush = nil
		w.ambushMu.Unlock()
		select {
		case p = <-a.hit:
		default:
			return nil
		}
	}
	if time.Sleep(s.After); s.After > 0 && (p.alive.Load() == nil || !w.crashable(p)) {
		return nil
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
				w.pass(noticing, p, nil)
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
