package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A records is what a session of a kind with standbys knows of its records. Changes are counted from
// 1, the start or the arrival of the session on this node. The session's mu guards it.
type records struct {
	made     uint64 // changes so far
	recorded uint64 // changes in the last record
	settled  uint64 // changes that no later answer waits for: they are durable, or were given up
	durable  uint64 // changes in a record that is durable

	// what of made is no handled message: labels, timers, watches, published values. It counts in
	// the version, but not in process.changes, by which a restart knows the state that it has kept.
	others uint64

	inFlight bool     // there is a record in flight, or its answers are being given
	again    bool     // a record is wanted although nothing has changed
	rests    bool     // none is made until the session is resumed: it is sealed, and the last one was superseded
	failed   bool     // the last record was; the log says so once
	ends     endStage // of the session's last record
	messages int      // taken since the last record
	since    int64    // when the first of these was, since epoch
	began    int64    // when the present message was taken, since epoch
	bound    *core.Binding
	method   string        // of the last call with a key whose handler was to run
	digest   uint64        // of its request
	held     fifo[held]    // answers that wait
	bytes    int           // of these
	saving   chan struct{} // tells Save or a renewal that no record is in flight; nil: neither waits
	leaves   leave
	retry    *time.Timer // makes the last record; nil without one
	trial    *trial      // nil: it is on none
	mark     any         // Record.Mark of the last record that was durable
}

// recordsLocked returns what the session knows of its records, and makes it.
func (p *process) recordsLocked() *records {
	x := p.extra()
	if x.records == nil {
		x.records = new(records)
	}
	return x.records
}

// madeLocked counts a change that a message has made, or code of the library.
func (p *process) madeLocked() {
	if p.Kind.Kept {
		p.recordsLocked().made++
	}
}

// alterLocked counts a change of what is not the state. start reports that no goroutine has the
// session, so that the caller must hand it to a worker, for the record.
func (p *process) alterLocked() (start bool) {
	if !p.Kind.Kept {
		return false
	}
	d := p.recordsLocked()
	d.made++
	d.others++
	return p.wakeForRecordLocked()
}

// wakeForRecordLocked claims an idle session that is to make a record.
func (p *process) wakeForRecordLocked() (start bool) {
	if p.running || !p.runsLocked() || !p.ext.records.wantsOne() {
		return false
	}
	p.running = true
	return true
}

// runIf hands the session to a worker that the caller has claimed it for.
func (p *process) runIf(start bool) {
	if start {
		p.table().workers.run(p, nil)
	}
}

// wantsOne reports whether something has changed that is in no record, and none is in flight.
func (d *records) wantsOne() bool {
	return d != nil && !d.inFlight && !d.rests && d.ends == endNone && (d.made > d.recorded || d.again)
}

// recordDueLocked reports, between two messages, whether the session is to make a record now: one is
// wanted, and the burst is over.
func (p *process) recordDueLocked() bool {
	d := p.ext.recordsOf()
	if !d.wantsOne() {
		return false
	}
	if d.recorded == 0 && p.arrivalLocked().came != 0 {
		return true // its source keeps it until it has standbys here, and its first handler may last
	}
	if p.head == nil || p.phase == phaseQuarantined || d.messages >= burstMessages || p.fullLocked() ||
		p.table().PausedBy() != nil {
		return true
	}
	now := int64(time.Since(core.Epoch))
	return now-d.since > int64(burstTime) || d.held.len() > 0 && mayLast(p.head, now)
}

// standsLocked reports, between two messages, whether the session handles no more of them until its
// record is answered: too many answers wait, or some wait that are in no record and the next handler may
// last.
func (p *process) standsLocked() bool {
	d := p.ext.recordsOf()
	return p.phase == phaseQuarantined || d != nil && d.inFlight && (p.fullLocked() ||
		d.made > d.recorded && d.held.len() > 0 && mayLast(p.head, int64(time.Since(core.Epoch))))
}

// fullLocked reports whether as many answers wait as there may be: as many as messages fit into the
// mailbox, or their bytes. Then the session handles no more messages until its record is
// answered, and the mailbox and the line before it fill up as they do behind a slow handler.
func (p *process) fullLocked() bool {
	if p.ext == nil || p.ext.records == nil {
		return false
	}
	d, cfg := p.ext.records, &p.Kind.Settings
	return d.held.len() >= cfg.Mailbox || d.bytes >= cfg.MailboxBytes
}

// tookLocked counts a message that is about to be handled. That of a timer which fires once, and that
// of a watch, are changes by themselves: they must not come again.
func (p *process) tookLocked(e *core.Envelope) {
	d := p.ext.recordsOf()
	if d == nil { // the start
		return
	}
	d.began, d.bound = int64(time.Since(core.Epoch)), nil
	if m, ok := e.Task.(bounder); ok {
		d.bound = m.Bound()
	}
	if d.messages++; d.messages == 1 {
		d.since = d.began
	}
	if m, tick := e.Task.(*timerCast); e.Own && !(tick && m.timer.every > 0) {
		d.made++
		d.others++
	}
}

// record makes a record and gives it away, in the session's goroutine between two messages.
func (p *process) record() {
	r := newRecord(p, FormRunning)
	if err := p.encodeRecord(r); err != nil {
		p.mu.Lock()
		if r.upTo == 0 {
			p.recordedLocked(r)
		}
		p.mu.Unlock()
		p.table().Kept(r, err)
		return
	}
	p.table().cfg.Standbys.Keep(r)
}

// recordedLocked notes that r has all changes so far, or should have had them.
func (p *process) recordedLocked(r *Record) {
	d := p.ext.records
	d.inFlight, d.again, d.messages = true, false, 0
	if waits, _ := p.awaitsTrialLocked(); waits {
		d.trial.stage = trialAsked // also if it could not be encoded
	}
	d.recorded, r.upTo, r.Mark, r.Midway = d.made, d.made, d.mark, p.cur != nil
}

// RecordAgain has session id make another record although it has not changed: for a standby that has
// none, or in place of a record that was given up. It reports false if the session is not here or has no
// standbys.
func (t *Table) RecordAgain(part int, id string) bool {
	p := t.findLocked(part, id)
	if p == nil {
		return false
	}
	if !p.Kind.Kept || p.ext == nil || p.ext.records == nil {
		p.mu.Unlock()
		return false
	}
	p.ext.records.again = true
	start := p.wakeForRecordLocked()
	p.mu.Unlock()
	p.runIf(start)
	return true
}
