package engine

import (
	"crypto/rand"
	"encoding/hex"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// abrupt is the reason of a Table.Close: there is no time for OnEnd.
const abrupt sessionproc.Reason = "abrupt"

// interruption returns the error for requests that the end of a session interrupts.
func interruption(r sessionproc.Reason) error {
	if r == sessionproc.ReasonClosed || r == abrupt {
		return sessionproc.ErrClosed
	}
	return sessionproc.ErrTerminated
}

// end begins the end of a session: waiting and running requests get ErrTerminated at once, and the
// ctx of the running handler is cancelled. When that handler has returned, OnEnd is called. end
// reports false if the session is ending already. done, if not nil, is called when the session has
// left the table.
//
// An end has three parts. claimEndLocked decides under mu: it changes the phase, takes the
// messages, and claims the session if no goroutine has it. goOnEnding answers the messages without
// mu, and ends an idle session itself. If a goroutine has the session, next sends it to finishTurn
// after the present handler.
func (p *process) end(reason sessionproc.Reason, done func()) bool {
	p.mu.Lock()
	if !p.mayEndLocked(reason) {
		if reason == abrupt && p.phase != phaseGone {
			p.ext.reason = abrupt
		}
		p.mu.Unlock()
		return false
	}
	c := p.claimEndLocked(reason, done)
	p.mu.Unlock()
	p.goOnEnding(reason, c)
	return true
}

// mayEndLocked reports whether the session can be ended now. A mark of a renewed ID cannot be
// terminated: the session under the new ID is another one to its callers. A sealed session whose
// snapshot was sent cannot be ended here, since its target may run it already.
func (p *process) mayEndLocked(reason sessionproc.Reason) bool {
	return p.phase < phaseEnding && (p.ext == nil || !p.ext.ended) &&
		!(p.phase == phaseRenewed && reason == sessionproc.ReasonTerminated) &&
		!(p.phase == phaseSealed && p.staysSealedLocked(reason))
}

// An endClaim is what claimEndLocked leaves for goOnEnding to do.
type endClaim struct {
	queue  *core.Envelope // messages to answer
	cur    handling       // the message whose handler runs
	idle   bool           // no goroutine had the session, and the caller has it now
	starts bool           // the start function waits or runs
}

// claimEndLocked begins the end. The caller must call goOnEnding after it has unlocked mu.
func (p *process) claimEndLocked(reason sessionproc.Reason, done func()) (c endClaim) {
	c.queue, c.cur = p.beginEndLocked(reason, done)
	c.idle = !p.running || p.hurryLocked()
	c.starts = p.phase == phaseStarting
	p.running = true
	return c
}

// goOnEnding completes claimEndLocked, without a lock.
func (p *process) goOnEnding(reason sessionproc.Reason, c endClaim) {
	p.drop(c.queue, c.cur, core.Outcome{Err: interruption(reason)})
	p.unseal(interruption(reason))
	if c.starts {
		p.table().starts.overtake(p) // it will run no start function: it need not wait for its turn
	}
	if c.idle {
		p.endIdle(reason)
	}
}

// endIdle ends a session that the caller has claimed by setting running. It uses a worker only if
// there is an OnEnd to call: otherwise ending a million idle sessions would run a million bursts.
func (p *process) endIdle(reason sessionproc.Reason) {
	if p.State != nil && p.Kind.Hooks.End != nil && reason != abrupt {
		p.table().workers.run(p, nil)
	} else {
		p.countEnd(reason)
		p.vanish(core.Outcome{Err: sessionproc.ErrNotFound})
	}
}

// beginEndLocked records the end, changes the phase, and returns the messages to answer. The first
// reason counts, except that abrupt replaces every other one.
//
// A start that still waits for its turn is the exception: it stays alone in the mailbox and is
// answered as if its handler ran. Its run then finds that it must not begin, and startFailed
// removes the session. If the start were taken out here, no message would ever run to do that.
func (p *process) beginEndLocked(reason sessionproc.Reason, done func()) (queue *core.Envelope, cur handling) {
	x := p.extra()
	x.ended = true
	if x.reason == "" || reason == abrupt { // otherwise a Stop came first
		x.reason = reason
	}
	if done != nil {
		x.rarities().onGone = append(x.rarities().onGone, done)
	}
	cur = p.curLocked()
	if p.phase == phaseStarting && cur.e == nil {
		cur = handling{e: p.head, generation: p.head.Generation(), ctx: p.head.Ctx}
		start := p.head
		if p.head = start.Next; p.head == nil {
			p.tail = nil
		}
		queue = p.takeAllLocked()
		start.Next, p.head, p.tail = nil, start, start
		p.queued, p.bytes = 1, start.Size
		return queue, cur
	}
	if p.phase == phaseLive || p.phase == phaseRenewed || p.phase == phaseSealed {
		p.phase = phaseEnding
	}
	return p.takeAllLocked(), cur
}

// takeQueueLocked empties the mailbox.
func (p *process) takeQueueLocked() *core.Envelope {
	queue := p.head
	p.head, p.tail, p.queued, p.bytes = nil, nil, 0, 0
	if p.ext != nil {
		p.ext.own = own{}
	}
	return queue
}

// drop answers all requests of a session that ends, with its lock not held. Messages that were
// decided in another way in the meantime ignore it.
func (p *process) drop(queue *core.Envelope, cur handling, o core.Outcome) {
	for e := queue; e != nil; {
		next := e.Next
		e.Task.Drop(e.Generation(), o)
		e = next
	}
	if cur.e != nil {
		cur.e.Task.Drop(cur.generation, o)
	}
	if cur.ctx != nil {
		cur.ctx.End(core.EndedCanceled)
	}
}

// finishTurn does in the session's goroutine what next found to be due before another message:
// a restart, OnArrive, a merge with other copies, the snapshot of a sealed session, or its end.
// goesOn reports that the session runs on, so that run calls next again.
//
// The order matters. A crashed session must have a state before OnArrive or a merge can see one.
// A state arrives before it is merged; in a sealed session it does not arrive here, and join sees
// to it. Copies are merged before the snapshot, which would otherwise carry them along unmerged.
func (p *process) finishTurn() (goesOn bool) {
	p.mu.Lock()
	if p.ext.restart != nil && p.restartsLocked() {
		p.mu.Unlock()
		return p.restart()
	}
	if p.arrivesLocked() {
		p.mu.Unlock()
		return p.arrive()
	}
	if p.meetsLocked() {
		p.mu.Unlock()
		p.meet()
		return true
	}
	if p.phase == phaseSealed {
		s := p.ext.sealing
		p.mu.Unlock()
		return p.giveSnapshot(s)
	}
	reason, last := p.ext.reason, stateOf(p)
	queue := p.takeAllLocked()
	p.mu.Unlock()
	p.drop(queue, handling{}, core.Outcome{Err: interruption(reason)})
	p.unseal(interruption(reason))
	if reason != abrupt {
		if err := p.callOnEnd(last, reason); err != nil {
			p.handleFailure(err, nil)
			return false
		}
	}
	p.countEnd(reason)
	p.vanish(core.Outcome{Err: sessionproc.ErrNotFound})
	return false
}

// A stateCopy is the state of a session, or of another copy of it.
type stateCopy struct {
	kind    *core.Kind
	state   any         // nil if there is none
	arrives arrivalNote // 0 if the state has arrived
}

// stateOf returns the state of p. It is called in the goroutine of p, or for a copy that is in no
// table.
func stateOf(p *process) stateCopy {
	c := stateCopy{kind: p.Kind, state: p.State}
	if p.ext != nil {
		c.arrives = p.ext.arrives
	}
	return c
}

// callOnEnd calls the OnEnd of a state that does not continue, if its kind has one. A state that
// has not arrived arrives first. If that fails, callOnEnd returns the error and does not call
// OnEnd.
func (p *process) callOnEnd(c stateCopy, reason sessionproc.Reason) error {
	if c.state == nil || c.kind.Hooks.End == nil {
		return nil
	}
	h := &core.Ctx{Head: &p.Head, Until: int64(time.Since(core.Epoch) + p.table().cfg.StopTimeout)}
	defer h.End(core.EndedCanceled)
	if c.arrives != 0 {
		if err := p.welcome(h, c.kind, c.state, c.arrives.arrival()); err != nil {
			return err
		}
	}
	c.kind.Hooks.End(c.state, h, string(reason))
	return nil
}

// vanish removes a session from the table and answers everything that still waits for it. Its
// goroutine must not run, or be the caller. If another copy of the session waits to meet it, that
// copy takes its place. Otherwise the gate takes part: it may have to note the end for other
// members before the ID is free.
func (p *process) vanish(o core.Outcome) {
	t := p.table()
	p.remember(o)
	if heir := p.takeHeir(); heir != nil {
		p.leaveTo(heir)
	} else if t.cfg.Gate != nil {
		t.cfg.Gate.Leave(int(p.part), p.ID, p.bury)
	} else {
		p.bury()
	}
	p.gone(o)
}

// remove removes a session from its partition.
func (p *process) remove() {
	pt := &p.table().parts[p.part]
	pt.mu.Lock()
	delete(pt.m, p.ID)
	pt.mu.Unlock()
}

// gone answers everything that still waits for a session that has left the table. It takes all of
// it under mu and answers without mu. The starts that waited for the end come last: the first of
// them may start a new session under the ID at once.
func (p *process) gone(o core.Outcome) {
	t := p.table()
	p.mu.Lock()
	if p.phase != phaseGone {
		p.rememberLocked(o)
	}
	p.phase = phaseGone
	x := p.extra()
	if !x.moved {
		x.gone = o.Err
	}
	queue, cur, act := p.takeAllLocked(), p.curLocked(), p.act
	p.cur = nil
	starts, timers := p.takeStartsLocked(), x.timers
	var onGone []func()
	if x.rare != nil {
		onGone, x.rare.onGone = x.rare.onGone, nil
	}
	x.timers = nil
	polls, end, watches, mark, others := p.takePollsLocked(), x.ending, x.watches, x.renewed, x.others
	x.watches, x.others = nil, nil
	tell := x.sealing.overLocked(o.Err)
	p.mu.Unlock()
	tell()

	if p.expiry != nil {
		t.wheel.remove(p.expiry)
	}
	timers.stop()
	for w := range watches {
		w.stop()
	}
	if mark == nil {
		t.release(p.Kind)
	} else {
		mark.stop()
		t.marks.Add(-1)
	}
	discard(others)
	p.drop(queue, cur, o)
	tellEnd(polls, end, o)
	if act != nil {
		act.End(core.EndedCanceled)
	}
	t.leave()
	for _, done := range onGone {
		done()
	}
	for _, s := range starts {
		t.decideStart(s)
	}
}

// crashed contains a panic of a user's code in the session's goroutine, or with a nil cause a call
// of runtime.Goexit. This session ends or restarts, and no other.
func (p *process) crashed(cause any) {
	if cause == nil {
		cause = core.CalledGoexit
	}
	p.handleFailure(cause, debug.Stack())
}

// handleFailure ends or restarts a session whose code has failed. The log has the cause under a
// reference. Callers get only the reference, since the text of a panic may contain anything that
// the session holds.
func (p *process) handleFailure(cause any, stack []byte) {
	reference := newReference()
	p.table().supervision.crashes.Add(1)
	o := core.Outcome{Err: &sessionproc.CrashError{Reference: reference}}
	if after, ok := p.mayRestart(); ok {
		p.logger().Error("session crashed", "reference", reference, "panic", core.Thrown(cause), "stack", string(stack),
			"restarts_after", after)
		p.traceCrash(reference, true, after)
		p.restartAfter(after, o)
		return
	}
	p.logger().Error("session crashed", "reference", reference, "panic", core.Thrown(cause), "stack", string(stack))
	p.traceCrash(reference, false, 0)
	p.mu.Lock()
	starting := p.phase == phaseStarting
	if x := p.extra(); x.reason == "" {
		x.reason = sessionproc.ReasonCrashed
	}
	p.mu.Unlock()
	if !starting {
		p.countEnd(sessionproc.ReasonCrashed)
	}
	p.vanish(o)
	if starting {
		p.table().starts.leave()
	}
}

// newReference returns a random number by which a line of a log is found.
func newReference() string {
	var b [5]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// terminate ends session id. It calls answer when the session has left the table, or when its
// running handler has lasted longer than StopTimeout; until that handler returns, the ID cannot be
// started again. terminate does not block.
func (t *Table) terminate(part int, id string, answer func(err error)) {
	p, err := t.look(part, id)
	if why := t.PausedBy(); why != nil {
		err = why
	}
	if err != nil {
		answer(err)
		return
	}
	var once sync.Once
	give := func(err error) { once.Do(func() { answer(err) }) }
	stuck := time.AfterFunc(t.cfg.StopTimeout, func() {
		once.Do(func() {
			p.logger().Warn("a handler outlasts the end of its session", "after", t.cfg.StopTimeout)
			answer(nil)
		})
	})
	if !p.end(sessionproc.ReasonTerminated, func() { stuck.Stop(); give(nil) }) {
		stuck.Stop()
		p.mu.Lock()
		err := p.awayLocked()
		p.mu.Unlock()
		if err == nil {
			err = sessionproc.ErrNotFound
		}
		give(err)
	}
}
