package sessionproc

import (
	"crypto/rand"
	"encoding/hex"
	"runtime/debug"
	"sync"
	"time"
)

// Reason says why a session ended. Session.Stop may give any other text.
type Reason string

// Reasons of the library.
const (
	ReasonStopped    Reason = "stopped"    // its handler called Stop with no reason
	ReasonTerminated Reason = "terminated" // somebody called Terminate
	ReasonExpired    Reason = "expired"    // IdleTimeout or Lifetime
	ReasonCrashed    Reason = "crashed"    // a handler panicked
	ReasonMoved      Reason = "moved"      // its partition is another node's now
	ReasonClosed     Reason = "closed"     // its node has left the cluster
	ReasonRenewed    Reason = "renewed"    // it goes on under another ID: for those who knew it under this one
	ReasonConflict   Reason = "conflict"   // another copy of it goes on, and changes of this one are lost

	abrupt Reason = "abrupt" // its node was closed: there is no time for OnEnd
)

// end begins the end of a session: waiting and running requests get
// ErrTerminated at once, the running handler's ctx is cancelled, and when that
// handler has returned OnEnd is called. false: it is ending already. done,
// if not nil, is called when the session has gone.
func (p *process) end(reason Reason, done func()) bool {
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

func (p *process) mayEndLocked(reason Reason) bool {
	return p.phase < phaseEnding && (p.ext == nil || !p.ext.ended) &&
		!(p.phase == phaseRenewed && reason == ReasonTerminated) &&
		!(p.phase == phaseSealed && p.staysSealedLocked(reason))
}

// endClaim is what claimEndLocked leaves to goOnEnding.
type endClaim struct {
	queue  *envelope // messages to be answered
	cur    handling  // the message that runs
	idle   bool      // the caller has the session
	starts bool      // its start function waits or runs
}

// claimEndLocked begins the end, which the caller completes with goOnEnding when it
// has released the lock.
func (p *process) claimEndLocked(reason Reason, done func()) (c endClaim) {
	c.queue, c.cur = p.beginEndLocked(reason, done)
	c.idle = !p.running || p.hurryLocked()
	c.starts = p.phase == phaseStarting
	p.running = true
	return c
}

func (p *process) goOnEnding(reason Reason, c endClaim) {
	p.drop(c.queue, c.cur, outcome{err: reason.err()})
	p.unseal(reason.err())
	if c.starts {
		p.table.starts.overtake(p) // it runs no start function any more: no need to wait for its turn
	}
	if c.idle {
		p.endIdle(reason)
	}
}

// endIdle ends a session that is running in name only: the caller has claimed
// it. It takes no goroutine unless there is an OnEnd to call.
func (p *process) endIdle(reason Reason) {
	if p.state != nil && p.kind.hooks.end != nil && reason != abrupt {
		p.table.workers.run(p, nil)
	} else {
		p.countEnd(reason)
		p.vanish(outcome{err: ErrNotFound})
	}
}

func (p *process) beginEndLocked(reason Reason, done func()) (queue *envelope, cur handling) {
	x := p.extra()
	x.ended = true
	if x.reason == "" || reason == abrupt { // a Stop was first
		x.reason = reason
	}
	if done != nil {
		x.rarities().onGone = append(x.rarities().onGone, done)
	}
	cur = p.curLocked()
	if p.phase == phaseStarting && cur.e == nil {
		// The start waits for its turn and stays in the mailbox; there it finds
		// that it is over.
		cur = handling{e: p.head, generation: p.head.generation(), ctx: p.head.ctx}
		start := p.head
		if p.head = start.next; p.head == nil {
			p.tail = nil
		}
		queue = p.takeAllLocked()
		start.next, p.head, p.tail = nil, start, start
		p.queued, p.bytes = 1, start.size
		return queue, cur
	}
	if p.phase == phaseLive || p.phase == phaseRenewed || p.phase == phaseSealed {
		p.phase = phaseEnding
	}
	return p.takeAllLocked(), cur
}

func (p *process) takeQueueLocked() *envelope {
	queue := p.head
	p.head, p.tail, p.queued, p.bytes = nil, nil, 0, 0
	if p.ext != nil {
		p.ext.own = own{}
	}
	return queue
}

// drop answers all requests of a session that ends.
func (p *process) drop(queue *envelope, cur handling, o outcome) {
	for e := queue; e != nil; {
		next := e.next
		e.op.drop(e.generation(), o)
		e = next
	}
	if cur.e != nil {
		cur.e.op.drop(cur.generation, o)
	}
	if cur.ctx != nil {
		cur.ctx.end(endedCanceled)
	}
}

func (r Reason) err() error {
	if r == ReasonClosed || r == abrupt {
		return ErrClosed
	}
	return ErrTerminated
}

// finish ends a session in its own goroutine, after the last handler, or takes
// the snapshot of a sealed one. goesOn: it runs on after all.
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
	p.drop(queue, handling{}, outcome{err: reason.err()})
	p.unseal(reason.err())
	if reason != abrupt {
		if err := p.callOnEnd(last, reason); err != nil {
			p.handleFailure(err, nil)
			return false
		}
	}
	p.countEnd(reason)
	p.vanish(outcome{err: ErrNotFound})
	return false
}

// copyState is the state of a session, or of a copy that it meets.
type stateCopy struct {
	kind    *kindCore
	state   any         // nil: it has none
	arrives arrivalNote // 0: it has arrived
}

// stateOf is called in the goroutine of a session, or for a copy that is in no table.
func stateOf(p *process) stateCopy {
	c := stateCopy{kind: p.kind, state: p.state}
	if p.ext != nil {
		c.arrives = p.ext.arrives
	}
	return c
}

// tell has a state that does not go on hear of that, if its kind has an OnEnd. The error
// is that of its OnArrive: then it is told nothing.
func (p *process) callOnEnd(c stateCopy, reason Reason) error {
	if c.state == nil || c.kind.hooks.end == nil {
		return nil
	}
	h := &handlerCtx{p: p, deadline: int64(time.Since(epoch) + p.table.cfg.StopTimeout)}
	defer h.end(endedCanceled)
	if c.arrives != 0 {
		if err := p.welcome(h, c.kind, c.state, c.arrives.arrival()); err != nil {
			return err
		}
	}
	c.kind.hooks.end(c.state, h, reason)
	return nil
}

// vanish takes a session out of the table and answers whatever still waits for
// it. Nothing of it runs any more.
func (p *process) vanish(o outcome) {
	t := p.table
	p.remember(o)
	if heir := p.takeHeir(); heir != nil {
		p.leaveTo(heir)
	} else if t.cfg.Gate != nil {
		t.cfg.Gate.Leave(int(p.part), p.id, p.bury)
	} else {
		p.bury()
	}
	p.gone(o)
}

// remove takes a session out of the table.
func (p *process) remove() {
	pt := &p.table.parts[p.part]
	pt.mu.Lock()
	delete(pt.m, p.id)
	pt.mu.Unlock()
}

// gone answers whatever still waits for a session that is out of the table.
func (p *process) gone(o outcome) {
	t := p.table
	p.mu.Lock()
	if p.phase != phaseGone {
		p.rememberLocked(o)
	}
	p.phase = phaseGone
	x := p.extra()
	if !x.moved {
		x.gone = o.err
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
	tell := x.sealing.overLocked(o.err)
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
		t.release(p.kind)
	} else {
		mark.stop()
		t.marks.Add(-1)
	}
	discard(others)
	p.drop(queue, cur, o)
	tellEnd(polls, end, o)
	if act != nil {
		act.end(endedCanceled)
	}
	t.leave()
	for _, done := range onGone {
		done()
	}
	for _, s := range starts {
		t.decideStart(s)
	}
}

// crashed contains the panic, or the runtime.Goexit if cause is nil, of a
// user's code in the session's goroutine: this session ends or restarts, and only
// this.
func (p *process) crashed(cause any) {
	if cause == nil {
		cause = calledGoexit
	}
	p.handleFailure(cause, debug.Stack())
}

// handleFailure ends or restarts a session after its code has panicked or
// called runtime.Goexit.
func (p *process) handleFailure(cause any, stack []byte) {
	reference := newReference()
	p.table.supervision.crashes.Add(1)
	o := outcome{err: &CrashError{Reference: reference}}
	if after, ok := p.mayRestart(); ok {
		p.logger().Error("session crashed", "reference", reference, "panic", thrown(cause), "stack", string(stack), "restarts_after", after)
		p.traceCrash(reference, true, after)
		p.restartAfter(after, o)
		return
	}
	p.logger().Error("session crashed", "reference", reference, "panic", thrown(cause), "stack", string(stack))
	p.traceCrash(reference, false, 0)
	p.mu.Lock()
	starting := p.phase == phaseStarting
	if x := p.extra(); x.reason == "" {
		x.reason = ReasonCrashed
	}
	p.mu.Unlock()
	if !starting {
		p.countEnd(ReasonCrashed)
	}
	p.vanish(o)
	if starting {
		p.table.starts.leave()
	}
}

func newReference() string {
	var b [5]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// terminate ends session id and calls answer when it has gone, or when its
// running handler has outlasted StopTimeout; until that handler returns the ID
// cannot be started anew. It does not block.
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
	if !p.end(ReasonTerminated, func() { stuck.Stop(); give(nil) }) {
		stuck.Stop()
		p.mu.Lock()
		err := p.awayLocked()
		p.mu.Unlock()
		if err == nil {
			err = ErrNotFound
		}
		give(err)
	}
}
