package handover

import (
	"math"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

// A repair makes the standbys that sessions lack, as members have come or gone. What is lost is made as fast as the
// members answer: more at a time would only stand in the queues, before what callers wait for. What has only to move,
// from members that have it, keeps the pace of a hand-over, which leaves the machine to requests. What is lost keeps at
// least that pace, whoever does not answer.
type repair struct {
	wake chan struct{} // capacity 1: there is something to do

	mu    sync.Mutex    // guards the rest
	lost  []*replicated // some may be in moved, too
	moved []*replicated
	pace  bulk
}

const (
	repairWindow = 2 * turnsAtOnce  // unanswered records, with which no lost standby is made but at the pace
	repairPause  = time.Millisecond // until it is looked at again how many there are: records are made meanwhile
)

// add has a record made of a session when its turn has come. moves: others have its standbys.
func (r *repair) add(rep *replicated, moves bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	idle := len(r.lost)+len(r.moved) == 0
	if idle {
		r.pace.begin()
	}
	switch {
	case !moves && !rep.lost:
		rep.lost = true
		r.lost = append(r.lost, rep)
	case moves && !rep.moved:
		rep.moved = true
		r.moved = append(r.moved, rep)
	}
	if idle {
		lifetime.Signal(r.wake)
	}
}

// next takes the sessions whose turn it is. room is how many lost standbys may be made beyond the pace. Others may be
// due after wait, if that is not 0.
func (r *repair) next(room int) (due []*replicated, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := min(len(r.lost), turnsAtOnce, room); n > 0 {
		return r.takeLostLocked(n), repairPause
	}
	left := len(r.lost) + len(r.moved)
	if left == 0 {
		r.lost, r.moved = nil, nil
		return nil, 0
	}
	n, _ := r.pace.due(time.Now(), func() (left, lately int) { return left, math.MaxInt })
	due = r.takeLostLocked(min(n, len(r.lost), turnsAtOnce))
	n = min(n-len(due), len(r.moved))
	for _, rep := range r.moved[:n] {
		rep.moved = false
	}
	due, r.moved = append(due, r.moved[:n]...), r.moved[n:]
	for range due {
		r.pace.spend(0)
	}
	if wait = max(r.pace.wait(), 1); len(r.lost) > 0 {
		wait = min(wait, repairPause)
	}
	return due, wait
}

func (r *repair) takeLostLocked(n int) (due []*replicated) {
	due, r.lost = r.lost[:n:n], r.lost[n:]
	for _, rep := range due {
		rep.lost = false
	}
	return due
}

// repairRoom returns how many lost standbys may be made at once.
func (d *Driver) repairRoom() int {
	room := repairWindow
	for _, b := range d.speaker.Backlogs() {
		room -= b.Said
	}
	return max(room, 0)
}

// repairStandbys makes standbys until the driver stops.
func (d *Driver) repairStandbys() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, wait := d.repair.next(d.repairRoom())
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
