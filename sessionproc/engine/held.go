package engine

import (
	"fmt"
	"math"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A held is an answer that waits until a change is durable. One of reply, task and tell is set.
type held struct {
	reply core.Answered // its answer is given
	task  core.Task     // it is dropped with out
	tell  func(err error)

	generation uint64 // of task
	out        core.Outcome
	after      uint64 // the last change that the answer tells of, of records.made
	size       int32
}

// afterTheEnd is the held.after of what tells of the end of the session.
const afterTheEnd = math.MaxUint64

// give gives the answer: the one that waited or, with an err, that.
func (a *held) give(err error) {
	switch {
	case a.tell != nil:
		a.tell(err)
	case a.reply != nil && err == nil:
		a.reply.Finish()
	case a.reply != nil:
		a.reply.Drop(a.reply.Generation(), core.Outcome{Err: err})
	case err == nil:
		a.task.Drop(a.generation, a.out)
	default:
		a.task.Drop(a.generation, core.Outcome{Err: err})
	}
}

// waitLocked holds an answer to what the session has done so far. It reports false if nothing of
// that waits for a record, so that the caller must give the answer.
func (p *process) waitLocked(a held) bool {
	d := p.ext.recordsOf()
	if d == nil || d.ends == endOver {
		return false
	}
	if a.after == 0 {
		a.after = d.made
	}
	if a.after <= d.settled {
		return false
	}
	d.held.push(a)
	d.bytes += int(a.size)
	return true
}

// recordsOf returns x.records, also of a nil x.
func (x *extra) recordsOf() *records {
	if x == nil {
		return nil
	}
	return x.records
}

// takeLocked takes the first answers that wait for no change after upTo, as many as fit into some.
func (d *records) takeLocked(upTo uint64, some []held) []held {
	for len(some) < cap(some) && d.held.len() > 0 && d.held.first().after <= upTo {
		a := d.held.pop()
		d.bytes -= int(a.size)
		some = append(some, a)
	}
	return some
}

// takeHeldLocked takes all answers that wait.
func (p *process) takeHeldLocked() (all []held) {
	if d := p.ext.recordsOf(); d != nil {
		all = d.takeLocked(afterTheEnd, make([]held, 0, d.held.len()))
	}
	return all
}

// undecidedLocked is the error for answers that still wait when the session leaves the table; nil if its
// end is durable. err is the error for messages.
func (p *process) undecidedLocked(err error) error {
	switch d := p.ext.recordsOf(); {
	case d != nil && d.ends == endDurable:
		return nil
	case p.ext.reason == abrupt && d != nil && d.ends != endNone:
		return &errUndurable{sessionproc.ErrClosed} // a standby may have the end
	case p.ext.reason == abrupt:
		return sessionproc.ErrClosed
	case p.yieldsLocked():
		return &errUndurable{errNotHere}
	}
	return err
}

// fail gives all of some an error instead.
func fail(some []held, err error) {
	for i := range some {
		some[i].give(err)
	}
}

// Answer implements Engine. The message that is held is not the present one any more: an end of the
// session must not decide it in another way.
func (t *Table) Answer(h *core.Head, b *core.Binding, r core.Answered, size int32) {
	p := processOf(h)
	p.mu.Lock()
	a := held{reply: r, size: size}
	if d := p.ext.recordsOf(); d != nil && p.cur != nil && !p.cur.readOnly {
		a.after = d.made + 1 // handlerEndsLocked counts it
	}
	waits := !b.Settings.Relaxed && p.waitLocked(a)
	if waits && p.cur != nil {
		p.cur.e = answered
	}
	p.mu.Unlock()
	if !waits {
		r.Finish()
	}
}

// answered stands for the present message when its answer waits.
var answered = &core.Envelope{Task: hasReturned{}}

// A hasReturned is a message whose handler has returned.
type hasReturned struct{}

func (hasReturned) Run(*core.Head, *core.Ctx) error { return core.NoHandler{} }
func (hasReturned) Drop(uint64, core.Outcome)       {}

// whenDurable calls tell once all that the session has done so far is durable, perhaps at once.
func (p *process) whenDurable(tell func(err error)) {
	p.mu.Lock()
	waits := p.waitLocked(held{tell: tell})
	p.mu.Unlock()
	if !waits {
		tell(nil)
	}
}

// whenCome calls tell once a record is durable of a session that has come from elsewhere. If the last
// one was not, the session makes another.
func (p *process) whenCome(tell func(err error)) {
	p.mu.Lock()
	d, start := p.ext.recordsOf(), false
	if d != nil && d.durable == 0 && d.settled == d.made {
		d.made++
		start = p.wakeForRecordLocked()
	}
	waits := d != nil && d.durable == 0 && p.waitLocked(held{tell: tell})
	p.mu.Unlock()
	p.runIf(start)
	if !waits {
		tell(nil)
	}
}

// unbornLocked reports whether the start of the session, or its arrival, is not durable yet.
func (p *process) unbornLocked() bool {
	d := p.ext.recordsOf()
	return d != nil && d.settled == 0
}

// holdExistsLocked holds the answer to a start that has found the session there. The session may yet
// turn out never to have started.
func (p *process) holdExistsLocked(s *core.Starter, exists error) bool {
	s.Waits = false
	w := s.W // s must not be touched any more
	return p.waitLocked(held{tell: func(err error) {
		if err == nil {
			err = exists
		}
		w.EndWith(core.Outcome{Err: err})
	}})
}

// errCrowd is the error of a request that would wait for a record beside too many others.
var errCrowd = fmt.Errorf("%w: too many requests wait until the session is durable", sessionproc.ErrOverloaded)

// crowdedLocked reports whether so many answers wait that no request may join them. Those of messages are
// bounded by fullLocked.
func (p *process) crowdedLocked() bool {
	d := p.ext.recordsOf()
	return d != nil && d.held.len() >= p.Kind.Settings.Mailbox+maxLine
}

// whenBorn calls tell once the start of the session, or its arrival, is durable, perhaps at once.
func (p *process) whenBorn(tell func(err error)) {
	p.mu.Lock()
	crowded := p.unbornLocked() && p.crowdedLocked()
	waits := !crowded && p.unbornLocked() && p.waitLocked(held{tell: tell})
	p.mu.Unlock()
	switch {
	case crowded:
		tell(errCrowd)
	case !waits:
		tell(nil)
	}
}

// dropLater is drop for what a session interrupts by its end. Nobody hears of an end that a crash can
// still undo.
func (p *process) dropLater(queue *core.Envelope, cur handling, o core.Outcome) {
	if !p.Kind.Kept {
		p.drop(queue, cur, o)
		return
	}
	p.mu.Lock()
	if !p.recordsEndLocked() {
		p.mu.Unlock()
		p.drop(queue, cur, o)
		return
	}
	p.holdDropsLocked(queue, cur, o)
	p.mu.Unlock()
	if cur.ctx != nil {
		cur.ctx.End(core.EndedCanceled)
	}
}

// holdDropsLocked holds until the end of the session what drop would answer.
func (p *process) holdDropsLocked(queue *core.Envelope, cur handling, o core.Outcome) {
	for e := queue; e != nil; e = e.Next {
		p.waitLocked(held{task: e.Task, generation: e.Generation(), out: o, after: afterTheEnd, size: e.Size})
	}
	if cur.e != nil {
		p.waitLocked(held{task: cur.e.Task, generation: cur.generation, out: o, after: afterTheEnd})
	}
}
