package engine

import (
	"cmp"
	"errors"
	"slices"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Movable returns the IDs of a partition's sessions, most recently used first.
// Any of them may refuse to be sealed.
func (t *Table) Movable(part int) []string {
	type used struct {
		id   string
		last int64
	}
	pt := &t.parts[part]
	pt.mu.RLock()
	all := make([]used, 0, len(pt.m))
	for _, p := range pt.m {
		all = append(all, used{p.ID, p.last.Load()})
	}
	pt.mu.RUnlock()
	slices.SortFunc(all, func(a, b used) int { return cmp.Compare(b.last, a.last) })
	ids := make([]string, len(all))
	for i, u := range all {
		ids[i] = u.id
	}
	return ids
}

// Seal stops a session so that another node can continue it. From now on its
// messages get moved as their error, and so do the calls that wait in its
// mailbox, which have not run. Casts in the mailbox travel with the session.
// When the present handler has returned, done gets the snapshot, or the error
// if the session cannot be encoded, or ErrUnsealed if the session ended or was
// resumed before. done is called once, in the session's goroutine or in that of
// the caller who ends or resumes it, and must not block.
//
// Seal does nothing and returns false if the session is starting, ending or
// sealed, if its handler waits for a record (Save), or if ask returns false. ask is
// called with the session's lock held.
// A session of a kind with EndOnMove is stopped instead.
func (t *Table) Seal(part int, id string, moved error, ask func() bool, done func(snapshot []byte, err error)) bool {
	p := t.find(part, id)
	if p == nil {
		return false
	}
	p.mu.Lock()
	if !p.runsLocked() || p.stoppingLocked() || p.savesNowLocked() {
		p.mu.Unlock()
		return false
	}
	if p.Kind.Settings.EndOnMove && p.phase == phaseLive {
		p.mu.Unlock()
		p.stop(sessionproc.ReasonMoved)
		return false
	}
	if !ask() {
		p.mu.Unlock()
		return false
	}
	calls, polls, idle := p.sealLocked(&sealing{was: p.phase, moved: moved, done: done})
	p.mu.Unlock()
	p.drop(calls, handling{}, core.Outcome{Err: moved})
	dropPolls(polls, moved)
	if idle {
		t.workers.runSealed(p)
	}
	return true
}

// sealLocked seals the session and returns the calls and polls that waited, for
// the caller to answer. idle says that the caller must have the session run,
// for its snapshot.
func (p *process) sealLocked(s *sealing) (calls *core.Envelope, polls []*Inbound, idle bool) {
	p.phase = phaseSealed
	x := p.extra()
	x.sealing = s
	x.timers.stop()
	for w := range x.watches {
		w.stop()
	}
	p.detachTasksLocked()
	polls = p.takePollsLocked()
	var last *core.Envelope
	for e := p.takeAllLocked(); e != nil; {
		next := e.Next
		e.Next = nil
		switch _, cast := e.Task.(carried); {
		case cast:
			p.appendLocked(e)
		case last == nil:
			calls, last = e, e
		default:
			last.Next, last = e, e
		}
		e = next
	}
	idle = !p.running || p.hurryLocked()
	p.running = true
	return calls, polls, idle
}

// giveSnapshot makes the snapshot of a sealed session, in the session's goroutine.
// goesOn reports that the session was resumed or ended in the meantime.
func (p *process) giveSnapshot(s *sealing) (goesOn bool) {
	b, err := p.save()
	p.mu.Lock()
	if p.phase != phaseSealed || p.ext.sealing != s || p.ext.reason != "" {
		p.mu.Unlock()
		return true
	}
	p.running, s.reported = false, true
	p.mu.Unlock()
	s.done(b, err)
	return false
}

// SessionKind returns the kind of session id, or "" if the session is not in the
// table.
func (t *Table) SessionKind(part int, id string) string {
	if p := t.find(part, id); p != nil {
		return p.Kind.Name
	}
	return ""
}

// Sent records that only the target of a sealed session decides from now on.
func (t *Table) Sent(part int, id string) {
	if p := t.findLocked(part, id); p != nil {
		defer p.mu.Unlock()
		p.commitLocked(nil)
	}
}

// commitLocked is Sent for a session that s has sealed. With a nil s any
// sealing will do.
func (p *process) commitLocked(s *sealing) {
	if p.phase == phaseSealed && (s == nil || p.ext.sealing == s) {
		p.ext.sealing.sent = true
	}
}

// Resume makes a sealed session run on here.
func (t *Table) Resume(part int, id string) {
	if p := t.findLocked(part, id); p != nil {
		p.resumeLocked(nil)
	}
}

// resume makes a session run on that s has sealed.
func (p *process) resume(s *sealing) {
	p.mu.Lock()
	p.resumeLocked(s)
}

// resumeLocked is resume. With a nil s any sealing will do. It unlocks mu.
func (p *process) resumeLocked(s *sealing) {
	if p.ext == nil || p.ext.sealing == nil || s != nil && p.ext.sealing != s || p.phase != phaseSealed &&
		p.phase != phaseEnding {
		p.mu.Unlock()
		return
	}
	tell, was := p.ext.sealing.overLocked(errResumed), p.ext.sealing.was
	p.ext.sealing = nil
	defer tell()
	if p.phase == phaseEnding { // a copy that takes its place must not be sealed
		p.mu.Unlock()
		return
	}
	p.phase = was
	if d := p.ext.records; d != nil {
		d.rests = false
	}
	if p.phase == phaseRenewed {
		p.armRenewedLocked()
	}
	p.renewsOnLocked()
	if p.phase != phaseSealed && !p.quarantineLocked() {
		p.armAllLocked()
		p.recallLocked()
		p.watchAllLocked()
		p.attachTasksLocked()
	}
	if d := p.ext.recordsOf(); d != nil && !d.inFlight && d.settled < d.recorded {
		d.again = true // the last record was fenced off
	}
	start := !p.running && (p.head != nil || p.ext.reason != "" || p.ext.others != nil || p.ext.arrives != 0 ||
		p.phase == phaseSealed || p.Kind.Kept && p.ext.records.wantsOne())
	if start {
		p.running = true
	}
	p.mu.Unlock()
	if start {
		p.table().workers.run(p, nil)
	}
}

var errResumed = errors.New("the session goes on here")

// Forget removes a sealed session from the table after its target has taken it.
// Messages that still find it get the error moved. The caller must call after
// once it holds no lock, since after may start sessions.
//
// If the session has standbys, after gives the answers that have waited for a record here. With a nil
// undurable the target has made a record of the session that is durable. Otherwise that is why none is:
// the target is lost.
func (t *Table) Forget(part int, id string, undurable error) (after func()) {
	waiting, gone := t.Shelve(part, id)
	return func() {
		waiting.Give(undurable)
		gone()
	}
}

// Shelve is Forget for a session that goes on from its snapshot, here or elsewhere, because its target is
// lost. It returns the answers that have waited for a record.
func (t *Table) Shelve(part int, id string) (waiting Unanswered, after func()) {
	p := t.findLocked(part, id)
	if p == nil {
		return waiting, func() {}
	}
	if p.phase != phaseSealed {
		p.mu.Unlock()
		return waiting, func() {}
	}
	moved := p.ext.sealing.moved
	p.phase, p.ext.gone, p.ext.moved = phaseGone, moved, true
	waiting.all = p.takeHeldLocked()
	if d := p.ext.records; d != nil {
		d.endLocked()
	}
	p.mu.Unlock()
	p.remove()
	return waiting, func() { p.gone(core.Outcome{Err: moved}) }
}
