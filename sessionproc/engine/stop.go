package engine

import (
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// end begins the end of a session: waiting and running requests get ErrTerminated at once, and the
// ctx of the running handler is cancelled. When that handler has returned, OnEnd is called. end
// reports false if the session is ending already. done, if not nil, is called when the session has
// left the table, or with an error when its end may not survive a crash.
//
// An end has three parts. claimEndLocked decides under mu: it changes the phase, takes the
// messages, and claims the session if no goroutine has it. goOnEnding answers the messages without
// mu, and ends an idle session itself. If a goroutine has the session, next sends it to finishTurn
// after the present handler.
func (p *process) end(reason sessionproc.Reason, done func(error)) bool {
	p.mu.Lock()
	if !p.mayEndLocked(reason) {
		after := func() {}
		if reason == abrupt && p.phase != phaseGone {
			p.ext.reason = abrupt
			after = p.endNowLocked(sessionproc.ErrClosed)
		}
		p.mu.Unlock()
		after()
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
func (p *process) claimEndLocked(reason sessionproc.Reason, done func(error)) (c endClaim) {
	c.queue, c.cur = p.beginEndLocked(reason, done)
	c.idle = !p.running || p.hurryLocked()
	c.starts = p.phase == phaseStarting
	if p.Kind.Kept && !c.idle {
		p.armEndLocked()
	}
	p.running = true
	return c
}

// goOnEnding completes claimEndLocked, without a lock.
func (p *process) goOnEnding(reason sessionproc.Reason, c endClaim) {
	if reason == fencedOff {
		p.drop(c.queue, handling{}, core.Outcome{Err: p.table().cfg.moving()})
		p.drop(nil, c.cur, core.Outcome{Err: &errUndurable{errNotHere}})
	} else {
		p.dropLater(c.queue, c.cur, core.Outcome{Err: interruption(reason)})
	}
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
	if p.State != nil && p.Kind.Hooks.End != nil && !silent(reason) {
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
func (p *process) beginEndLocked(reason sessionproc.Reason, done func(error)) (queue *core.Envelope, cur handling) {
	x := p.extra()
	x.ended = true
	if x.reason == "" || silent(reason) { // otherwise a Stop came first
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
	if p.runsLocked() || p.phase == phaseSealed {
		p.phase = phaseEnding
	}
	return p.takeAllLocked(), cur
}

// terminate ends session id. It calls answer when the session has left the table, or when its
// running handler has lasted longer than StopTimeout; until that handler returns, the ID cannot be
// started again. terminate does not block.
//
// first is 0, or when the request was first made, since epoch, if it is made again. Then it leaves a session
// alone that was surely started since: the one that it was for has ended.
func (t *Table) terminate(part int, id string, first int64, answer func(err error)) {
	p, err := t.look(part, id)
	if why := t.PausedBy(); why != nil {
		err = why
	}
	if err == nil && first != 0 && p.beganAfter(first) {
		err = sessionproc.ErrNotFound
	}
	if err != nil {
		answer(err)
		return
	}
	var once sync.Once
	give := func(err error) { once.Do(func() { answer(err) }) }
	stuck := time.AfterFunc(t.cfg.StopTimeout, func() {
		if p.Kind.Kept { // see armEndLocked
			return
		}
		once.Do(func() {
			p.logger().Warn("a handler outlasts the end of its session", "after", t.cfg.StopTimeout)
			answer(nil)
		})
	})
	if !p.end(sessionproc.ReasonTerminated, func(err error) { stuck.Stop(); give(err) }) {
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

// beganAfter reports whether the session surely began after a time, since epoch: it was started here, and has
// met no copy that was started on its own. The age of one that has come from elsewhere is not exact.
func (p *process) beganAfter(at int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun > at && p.arrivalLocked().came == 0 && (p.ext == nil || !p.ext.past.lives())
}

func (p *process) stop(reason sessionproc.Reason) {
	p.mu.Lock()
	if p.phase != phaseSealed && p.leftLocked() {
		p.mu.Unlock()
		p.leftover("a stop")
		return
	}
	x := p.extra()
	if x.reason == "" && x.renewed == nil {
		x.reason = reason
	}
	idle := !p.running && p.phase == phaseLive // Stop was called by a goroutine that a handler left behind
	if idle {
		p.running = true
	}
	p.mu.Unlock()
	if idle {
		p.table().workers.run(p, nil)
	}
}

// hurryLocked ends a back-off. If it reports true, the caller must hand the session to a worker.
func (p *process) hurryLocked() bool {
	if p.ext == nil || p.ext.restart == nil || p.ext.restart.timer == nil {
		return false
	}
	stopped := p.ext.restart.timer.Stop()
	p.ext.restart.timer = nil
	return stopped
}
