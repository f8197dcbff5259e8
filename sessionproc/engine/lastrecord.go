package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// An endStage says how far the last record of a session is, the one of its end.
type endStage uint8

const (
	endNone    endStage = iota
	endWaits            // for the answer to another record, which is in flight
	endGiven            // the last record is in flight
	endFailed           // it was not durable, and is made again after a pause
	endDurable          // the session may leave the table
	endOver             // it leaves, or has left, whatever becomes of its records
)

// endAgain is the time after which the record of an end is made again.
const endAgain = time.Second

// A leave is how a session leaves the table once its end is durable.
type leave struct {
	ready bool // its last handler has returned, and its OnEnd
	o     core.Outcome
}

// keepsEnd is called when a session is about to leave the table with its end. It reports that the
// session stays, ending, until its end is durable, and then leaves with o. An end that is not recorded
// could be undone by a crash, and nobody may hear of it.
func (p *process) keepsEnd(o core.Outcome) bool {
	p.mu.Lock()
	d := p.extra().records
	if !p.recordsEndLocked() || d.ends == endNone && !d.inFlight && p.hasHeirLocked() {
		if d != nil {
			d.endLocked()
		}
		p.mu.Unlock()
		return false
	}
	d.leaves = leave{true, o}
	ctx := p.curLocked().ctx
	p.holdDropsLocked(nil, p.curLocked(), o)
	p.cur = nil // its goroutine does not run on
	r := p.lastRecordLocked()
	p.mu.Unlock()
	if ctx != nil {
		ctx.End(core.EndedCanceled)
	}
	if r != nil {
		p.table().cfg.Standbys.Keep(r)
	}
	return true
}

// armEndLocked has the end of a session recorded although its last handler still runs, once that has
// lasted longer than StopTimeout. Otherwise the record comes after OnEnd: so that is called at least
// once, also if the node crashes.
func (p *process) armEndLocked() {
	if d := p.ext.recordsOf(); d != nil && d.retry == nil && p.recordsEndLocked() {
		d.retry = time.AfterFunc(p.table().cfg.StopTimeout, p.recordEnd)
	}
}

// recordEnd makes the last record, or makes it again.
func (p *process) recordEnd() {
	p.mu.Lock()
	d := p.ext.records
	if d.retry = nil; d.ends == endFailed {
		d.ends = endNone
	}
	var r *Record
	if p.recordsEndLocked() && !p.hasHeirLocked() {
		r = p.lastRecordLocked()
	}
	p.mu.Unlock()
	if r != nil {
		p.table().cfg.Standbys.Keep(r)
	}
}

// lastRecordLocked returns the record of the session's end, for the caller to give away; nil if there is
// one already, or another record is in flight.
func (p *process) lastRecordLocked() *Record {
	d := p.ext.records
	switch {
	case d.ends != endNone:
		return nil
	case d.inFlight:
		d.ends = endWaits
		return nil
	}
	r := newRecord(p, FormEnded)
	d.made++
	p.recordedLocked(r)
	d.ends = endGiven
	tombstone := p.tombstoneLocked()
	r.Version, r.Life = tombstone.Append(r.Version[:0]), tombstone.AppendLife(nil)
	p.ext.copied = true // so that bury remembers the end
	return r
}

// endGoesOn makes the last record, which has waited for another one.
func (p *process) endGoesOn() {
	p.mu.Lock()
	d := p.ext.records
	d.ends = endNone
	leaves := d.leaves
	p.mu.Unlock()
	if leaves.ready {
		p.vanish(leaves.o)
	} else {
		p.recordEnd()
	}
}

// endKept goes on with the end of the session once its record is answered. If the record is not durable,
// who waits for the end gets err, and the record is made again.
func (p *process) endKept(err error) {
	p.mu.Lock()
	d := p.ext.records
	d.inFlight = false
	if d.ends != endGiven {
		p.mu.Unlock()
		return
	}
	if err == nil && d.leaves.ready {
		d.ends = endDurable
		o := d.leaves.o
		p.mu.Unlock()
		p.leave(o) // gone answers what waits
		return
	}
	waiting, onGone, starts := p.takeHeldLocked(), p.takeOnGoneLocked(), []*core.Starter(nil)
	if err == nil {
		d.ends = endDurable
	} else {
		d.ends = endFailed
		d.retry = time.AfterFunc(endAgain, p.recordEnd)
		starts = p.takeStartsLocked()
	}
	p.mu.Unlock()
	fail(waiting, err)
	for _, tell := range onGone {
		tell(err)
	}
	for _, s := range starts {
		s.W.EndWith(core.Outcome{Err: err})
	}
}

func (p *process) takeOnGoneLocked() []func(error) {
	x := p.ext
	if x.rare == nil {
		return nil
	}
	onGone := x.rare.onGone
	x.rare.onGone = nil
	return onGone
}

// awaitsEnd has done called, as end does, if the session ends already and that is not durable yet.
func (p *process) awaitsEnd(done func(error)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.endUntoldLocked() {
		return false
	}
	x := p.ext.rarities()
	x.onGone = append(x.onGone, done)
	return true
}

// endLocked ends the records of the session: no more is made, and none is waited for.
func (d *records) endLocked() {
	d.ends = endOver
	if d.retry != nil {
		d.retry.Stop()
		d.retry = nil
	}
}

// endNowLocked ends the wait for the last record. What has waited gets err. If the session only waits for
// that record, it leaves. The caller must call the result after it has unlocked mu.
func (p *process) endNowLocked(err error) (after func()) {
	d := p.ext.recordsOf()
	if d == nil || d.ends == endOver {
		return func() {}
	}
	leaves, waiting := d.leaves.ready && d.ends != endDurable, p.takeHeldLocked()
	d.endLocked()
	return func() {
		fail(waiting, err)
		if leaves {
			p.leave(core.Outcome{Err: err})
		}
	}
}

// endUntoldLocked reports whether the session ends and nobody may hear of that yet.
func (p *process) endUntoldLocked() bool { return p.phase == phaseEnding && p.recordsEndLocked() }

// recordsEndLocked reports whether the end of the session is, or would be, recorded before anybody hears
// of it. It is not if the session goes on elsewhere, or if the node closes at once.
func (p *process) recordsEndLocked() bool {
	d := p.ext.recordsOf()
	if d == nil || d.ends >= endDurable || p.ext.moved || silent(p.ext.reason) {
		return false
	}
	switch p.ext.reason {
	case sessionproc.ReasonLost, sessionproc.ReasonConflict, sessionproc.ReasonMoved:
		return false
	}
	return true
}
