package handover

import (
	"math"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

// A repair makes the standbys that sessions lack, as members have come or gone. What is lost is made at once, a few at a
// time. What has only to move, from members that have it, keeps the pace of a hand-over: all at once it would take the
// machine from requests.
type repair struct {
	wake chan struct{} // capacity 1: there is something to do

	mu    sync.Mutex    // guards the rest
	lost  []*replicated // some may be in moved, too
	moved []*replicated
	pace  bulk // of moved
}

// add has a record made of a session when its turn has come. moves: others have its standbys.
func (r *repair) add(rep *replicated, moves bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	idle := len(r.lost)+len(r.moved) == 0
	switch {
	case !moves && !rep.lost:
		rep.lost = true
		r.lost = append(r.lost, rep)
	case moves && !rep.moved:
		rep.moved = true
		if len(r.moved) == 0 {
			r.pace.begin()
		}
		r.moved = append(r.moved, rep)
	}
	if idle {
		lifetime.Signal(r.wake)
	}
}

// next takes the sessions whose turn it is. Others may be due after wait, if that is not 0.
func (r *repair) next() (due []*replicated, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := min(len(r.lost), turnsAtOnce); n > 0 {
		due, r.lost = r.lost[:n:n], r.lost[n:]
		for _, rep := range due {
			rep.lost = false
		}
		return due, 1
	}
	r.lost = nil
	if len(r.moved) == 0 {
		r.moved = nil
		return nil, 0
	}
	n, _ := r.pace.due(time.Now(), func() (left, lately int) { return len(r.moved), math.MaxInt })
	n = min(n, len(r.moved))
	due, r.moved = r.moved[:n:n], r.moved[n:]
	for _, rep := range due {
		rep.moved = false
		r.pace.spend(0)
	}
	return due, max(r.pace.wait(), 1)
}

// repairStandbys makes standbys until the driver stops.
func (d *Driver) repairStandbys() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, wait := d.repair.next()
		for _, rep := range due {
			if rep.wantsRepair() {
				d.table.RecordAgain(rep.part, rep.session)
			}
		}
		if d.bound.waitAll(d.ctx, d.repaired.Swap(0)) != nil {
			return
		}
		var later <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			later = timer.C
		}
		select {
		case <-later:
		case <-d.repair.wake:
		case <-d.ctx.Done():
			return
		}
	}
}

// wantsRepair reports whether no record has been made of the session meanwhile: that would have been its standbys'.
func (rep *replicated) wantsRepair() bool {
	rep.mu.Lock()
	defer rep.mu.Unlock()
	return rep.repair
}
