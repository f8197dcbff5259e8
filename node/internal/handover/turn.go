package handover

import (
	"slices"
	"sync"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// farewell stands for the partition of an event that concerns no partition.
const farewell = ownership.NoPartition - 1

// Turn passes an event to the machine and executes the effects. part is the
// partition that the event concerns, NoPartition for all of them, or farewell
// for none.
func (d *Driver) Turn(part int, event func(m *ownership.Machine) []ownership.Effect) {
	d.mu.Lock()
	if !d.closed {
		d.turnLocked(part, event)
	}
	d.unlock()
}

// unlock unlocks mu and does what must not be done under it.
func (d *Driver) unlock() {
	later, woken := d.later, d.woken
	d.later, d.woken = nil, nil
	d.mu.Unlock()
	for _, f := range later {
		f()
	}
	if len(woken) > 0 {
		d.waker.add(woken)
	}
}

// turnLocked is Turn for a caller that holds mu. It counts the sessions before
// the event, because sessions may have ended since the last one, and again
// afterwards, because the effects change the number.
func (d *Driver) turnLocked(part int, event func(m *ownership.Machine) []ownership.Effect) {
	d.countLocked(part)
	bottom := len(d.copies)
	d.doLocked(event(d.m))
	clear(d.copies[bottom:])
	d.copies = d.copies[:bottom]
	if part >= 0 {
		// Not earlier: a session that an effect resumes is among the sealed until then.
		d.countLocked(part)
	}
}

// copyLocked returns a copy of effects that is good until the turn ends: the machine reuses their slice in its
// next call. The copies of a turn, and of the turns within it, are a stack, d.copies.
func (d *Driver) copyLocked(effects []ownership.Effect) []ownership.Effect {
	bottom := len(d.copies)
	d.copies = append(d.copies, effects...)
	return slices.Clip(d.copies[bottom:])
}

// countLocked passes the number of sessions of a partition to the machine, if
// it is not 0 or was not 0 before.
func (d *Driver) countLocked(part int) {
	switch {
	case d.abandoned || part == farewell:
		return
	case part == ownership.NoPartition:
		for i := range d.parts {
			d.countLocked(i)
		}
		return
	}
	pt := &d.parts[part]
	running := d.table.Count(part) - pt.away
	some := running > 0 || len(pt.backups) > 0
	if !some && !pt.counted {
		return
	}
	pt.counted = some
	d.doLocked(d.m.Count(part, running, len(pt.backups)))
}

// doLocked executes effects, and the effects that follow from them. The machine
// reuses the slice of effects in its next call, and effects may lead to such a
// call, and to doLocked itself. So doLocked copies them to a stack, d.todo, on
// which each call has its own part.
func (d *Driver) doLocked(effects []ownership.Effect) {
	if len(effects) == 0 {
		return
	}
	bottom := len(d.todo)
	d.todo = append(d.todo, effects...)
	for i := bottom; i < len(d.todo); i++ {
		e := d.todo[i]
		d.doOneLocked(&e)
	}
	clear(d.todo[bottom:])
	if d.todo = d.todo[:bottom]; cap(d.todo) > maxTodo {
		d.todo = slices.Clone(d.todo)
	}
}

// maxTodo bounds the stack that is kept. The first view of a big cluster yields
// tens of thousands of effects.
const maxTodo = 1 << 10

// A waker has the requests tried again that wait for partitions. It does so in a goroutine of its own: a partition is
// often woken many times in a row, and what comes from other members need not wait for the requests.
type waker struct {
	wake  chan struct{} // capacity 1: there are parts
	mu    sync.Mutex
	parts []int // guarded by mu; sorted
}

func (w *waker) add(parts []int) {
	w.mu.Lock()
	for _, part := range parts {
		if i, due := slices.BinarySearch(w.parts, part); !due {
			w.parts = slices.Insert(w.parts, i, part)
		}
	}
	w.mu.Unlock()
	lifetime.Signal(w.wake)
}

// wakeWaiting wakes requests until the driver stops. Then the node answers those that wait.
func (d *Driver) wakeWaiting() {
	for {
		select {
		case <-d.waker.wake:
		case <-d.ctx.Done():
			return
		}
		d.waker.mu.Lock()
		parts := d.waker.parts
		d.waker.parts = nil
		d.waker.mu.Unlock()
		for _, part := range parts {
			d.env.Wake(part)
		}
	}
}
