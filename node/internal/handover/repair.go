package handover

import (
	"math"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

// A repair makes the standbys that sessions lack, as members have come or gone, at the pace of a hand-over: at once they
// would take the machine from requests.
type repair struct {
	wake chan struct{} // capacity 1: there is something to do

	mu    sync.Mutex // guards the rest
	queue []*replicated
	pace  bulk
}

// add has a record made of a session when its turn has come.
func (r *repair) add(rep *replicated) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rep.queued {
		return
	}
	rep.queued = true
	if len(r.queue) == 0 {
		r.pace.begin()
		lifetime.Signal(r.wake)
	}
	r.queue = append(r.queue, rep)
}

// next takes the sessions whose turn it is. Others may be due after wait, if that is not 0.
func (r *repair) next() (due []*replicated, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		r.queue = nil
		return nil, 0
	}
	n, _ := r.pace.due(time.Now(), func() (left, lately int) { return len(r.queue), math.MaxInt })
	n = min(n, len(r.queue))
	due = r.queue[:n:n]
	for _, rep := range due {
		rep.queued = false
		r.pace.spend(0)
	}
	r.queue = r.queue[n:]
	return due, max(r.pace.wait(), 1)
}

// repairStandbys makes standbys until the driver stops.
func (d *Driver) repairStandbys() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, wait := d.repair.next()
		for _, rep := range due {
			d.table.RecordAgain(rep.part, rep.session)
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
