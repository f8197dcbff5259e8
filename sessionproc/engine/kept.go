package engine

import (
	"errors"
)

// Kept says what became of a record. With a nil err it is durable: all standbys that there are have
// it. With an ErrFenced the session is another node's. Any other err says why the record is not
// durable; the session goes on here, and its next change makes another record, or RecordAgain. What
// the session has published waits for that one, so Standbys ask for it as soon as it can be durable. With
// ErrSuperseded the session makes another record at once, or when it is resumed, and what has waited for r
// waits for that one. r must not be used any more.
//
// Kept gives the answers that have waited, in their order. It takes the session's lock.
func (t *Table) Kept(r *Record, err error) {
	p, upTo, mark, last := r.p, r.upTo, r.Mark, r.Form == FormEnded
	trace := t.recordTrace(r, err)
	r.release()
	if errors.Is(err, ErrSuperseded) {
		p.recordAnew(last)
		return
	}
	fenced := errors.Is(err, ErrFenced)
	if fenced && p.fencedSealed() {
		return
	}
	if err != nil {
		err = &errUndurable{err}
	}
	polls := p.keptLocks(upTo, mark, err)
	for _, a := range polls {
		a.in.answerPoll(a.reply)
	}
	p.settle(upTo, err)
	if trace != nil && !fenced {
		trace()
	}
	switch {
	case fenced:
		p.lose()
	case last:
		p.endKept(err)
	default:
		p.goOnAfterRecord()
	}
}

// keptLocks notes a record that is durable. It returns the polls that can be answered now.
func (p *process) keptLocks(upTo uint64, mark any, err error) []answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.ext.records
	if p.runsLocked() {
		p.triedLocked()
	}
	if err != nil {
		p.warnLocked(d, err)
		return nil
	}
	d.durable, d.failed, d.mark = upTo, false, mark
	return p.releaseEventsLocked()
}

// warnLocked logs a failure that is the first after a record that was durable.
func (p *process) warnLocked(d *records, err error) {
	if !d.failed && !errors.Is(err, ErrFenced) {
		p.logger().Error("changes of a session may not survive a crash", "err", err)
	}
	d.failed = true
}

// settle gives the answers that have waited for changes up to upTo. Other changes may be settled only
// when all of these are given: so answers keep their order. It takes some at a time, and none of them
// is given under mu.
func (p *process) settle(upTo uint64, err error) {
	var room [16]held
	for {
		p.mu.Lock()
		d := p.ext.records
		some := d.takeLocked(upTo, room[:0])
		if len(some) == 0 {
			d.settled = max(d.settled, upTo)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for i := range some {
			some[i].give(err)
			some[i] = held{}
		}
	}
}

// goOnAfterRecord has the session make its next record, if something has changed, or handle the
// messages that have waited for room, or end.
func (p *process) goOnAfterRecord() {
	p.mu.Lock()
	d := p.ext.records
	d.inFlight = false
	if d.ends == endWaits {
		p.mu.Unlock()
		p.endGoesOn()
		return
	}
	d.turnLocked()
	start := p.wakeForRecordLocked()
	waits := p.head != nil || p.phase == phaseLive && (p.arrivesLocked() || p.meetsLocked())
	if !start && !p.running && waits && (p.phase == phaseLive || p.phase == phaseRenewed) {
		p.running, start = true, true // it has waited because it was full, or for its trial
	}
	p.mu.Unlock()
	p.runIf(start)
}

// countLocked counts a change that is no message's, which the next record has.
func (p *process) countLocked() {
	if p.Kind.Kept {
		d := p.recordsLocked()
		d.made++
		d.others++
	}
}

// awaitRecordLocked has the session's goroutine await that all changes up to now are durable: done tells it
// so, or why not. turn tells it, now and each time, that it may look whether it has to make a record. The
// first turn is there before p.mu is released: a record that settles at that moment would fill turn, and
// whoever sent afterwards would wait for ever.
func (p *process) awaitRecordLocked() (done <-chan error, turn <-chan struct{}) {
	durable, mayRecord := make(chan error, 1), make(chan struct{}, 1)
	d := p.ext.records
	p.waitLocked(held{tell: func(err error) { durable <- err }, after: d.made})
	mayRecord <- struct{}{}
	d.saving = mayRecord
	return durable, mayRecord
}

// awaitNoRecord ends what awaitRecordLocked began.
func (p *process) awaitNoRecord() {
	p.mu.Lock()
	p.ext.records.saving = nil
	p.mu.Unlock()
}

// savesNowLocked reports whether a handler is at work and waits for a record (Session.Save).
func (p *process) savesNowLocked() bool {
	d := p.ext.recordsOf()
	return d != nil && d.saving != nil && p.cur != nil
}

// turnLocked tells who waits for it that no record is in flight.
func (d *records) turnLocked() {
	if d.saving != nil {
		select {
		case d.saving <- struct{}{}:
		default:
		}
	}
}

// recordAnew has the session make a record in place of one that nobody takes any more.
func (p *process) recordAnew(last bool) {
	p.mu.Lock()
	d := p.ext.records
	d.inFlight, d.again, d.rests = false, true, p.phase == phaseSealed && !p.savesNowLocked()
	d.turnLocked()
	if d.ends >= endDurable || last && d.ends != endGiven {
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	if last {
		p.endGoesOn()
	} else {
		p.goOnAfterRecord()
	}
}

// fencedSealed reports whether a session whose record was fenced is sealed. It is about to be another's:
// the answers that wait are given when its target has it (Forget, or becomeRenewed), or with another
// record if it stays here.
func (p *process) fencedSealed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != phaseSealed {
		return false
	}
	d := p.ext.records
	d.inFlight = false
	d.turnLocked()
	return true
}

// isFencedOff reports whether the session leaves because it is another node's.
func (p *process) isFencedOff() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ext.reason == fencedOff
}

// lose removes a session that is another node's by now. Neither its OnEnd is called nor its end
// recorded. A sealed one is left to whoever has sealed it.
func (p *process) lose() {
	p.mu.Lock()
	d := p.ext.records
	d.inFlight = false
	if p.phase == phaseSealed || p.phase == phaseGone || d.ends == endOver {
		p.mu.Unlock()
		return
	}
	p.ext.moved, p.ext.gone = true, p.table().cfg.moving()
	if p.phase >= phaseEnding {
		p.ext.reason = fencedOff
		after := p.endNowLocked(&errUndurable{errNotHere})
		p.mu.Unlock()
		after()
		return
	}
	c := p.claimEndLocked(fencedOff, nil)
	p.mu.Unlock()
	p.goOnEnding(fencedOff, c)
}
