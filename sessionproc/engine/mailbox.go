package engine

import (
	"runtime"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A session's goroutine yields after so many messages or so long, so that a busy session does
// not delay others.
const (
	burstMessages = 64
	burstTime     = time.Millisecond
)

// next is the only way in which a message leaves the mailbox to be handled. The
// session's goroutine calls it between two handlers. One critical section does
// all of the following, so that every other goroutine finds the session either
// with the old handler or with the new one:
//
//  1. It ends the previous handler (handlerEndsLocked), whose result is already with its
//     caller.
//  2. If something must happen before the next message (copies have to merge, a restart or
//     OnArrive is due, the session was sealed, stopped or ended, or it has to make a record of
//     what has changed), it returns end, and finish does that.
//  3. If the mailbox is empty, or too many answers wait for a record, or the table is paused, it
//     gives the session up: it clears running. From then on put hands the session to a worker
//     again, or goOnAfterRecord does. A pause notes the session, and Unpause does so.
//  4. Otherwise it takes the first message and sets cur, with the generation that the message
//     has now. A message whose caller gave up is taken too: begin tells its op that it must
//     not run.
//  5. It lets the first of the line into the room that was made. The senders of these casts
//     are told after the unlock.
func (p *process) next(cur *handling) (e *core.Envelope, end bool) {
	now := p.table().clock.now.Load()
	p.mu.Lock()
	if p.cur != nil {
		p.changed = p.changed || !p.cur.readOnly
		p.handlerEndsLocked(now)
	}
	if p.Kind.Kept {
		if waits, record := p.awaitsTrialLocked(); waits {
			p.running = record
			p.mu.Unlock()
			return nil, record
		}
	}
	switch {
	case p.ext != nil && (p.meetsLocked() || p.restartsLocked() || p.arrivesLocked()):
		held := p.phase == phaseLive && (p.restartsLocked() || p.arrivesLocked()) && p.holdLocked()
		p.mu.Unlock()
		return nil, !held
	case p.phase >= phaseSealed && p.phase != phaseGone || p.stoppingLocked():
		if p.phase != phaseSealed || p.ext.reason != "" {
			p.phase = phaseEnding
		}
		p.mu.Unlock()
		return nil, true
	case p.Kind.Kept && p.recordDueLocked():
		p.mu.Unlock()
		return nil, true
	case p.head == nil || p.Kind.Kept && p.standsLocked():
		if p.running = false; p.head != nil {
			p.noteLocked()
		}
		p.mu.Unlock()
		return nil, false
	case p.holdLocked():
		p.mu.Unlock()
		return nil, false
	}
	e = p.head
	p.head = e.Next
	if p.head == nil {
		p.tail = nil
	}
	p.queued--
	p.bytes -= e.Size
	if e.Own {
		p.tookOwnLocked(e)
	}
	if p.Kind.Kept {
		p.tookLocked(e)
	}
	var entered *core.Stand
	if p.lined {
		entered = p.advanceLocked()
	}
	ctx := e.Ctx
	if ctx == nil || ctx.IsCast() {
		ctx = p.castCtxLocked(ctx)
	}
	*cur = handling{e, e.Generation(), ctx, now, e.ReadOnly, e.NoUse, p.phase == phaseStarting}
	p.cur = cur
	p.handled++
	p.mu.Unlock()
	if entered != nil {
		confirmCasts(entered)
	}
	return e, false
}

// handlerEndsLocked records the end of the present handler. A session counts as
// used until the end of a handler that was use at its beginning.
func (p *process) handlerEndsLocked(now int64) {
	if !p.cur.readOnly {
		p.changes++
	}
	if p.Kind.Kept {
		p.returnedLocked()
	}
	if !p.cur.noTouch && p.cur.since != now {
		p.last.Store(now)
	}
	p.cur = nil
	if p.ext != nil && p.ext.rare != nil && p.ext.rare.tasks != nil {
		p.turnTasksLocked()
	}
}

// run handles messages until there are none. It runs in at most one goroutine at a time, which owns
// cur. The deferred function contains the only recover for handlers: a panic, or a
// runtime.Goexit, ends or restarts this session and no other.
func (p *process) run(cur *handling) {
	clean := false
	traces := false // TableTrace.MessageEnded runs
	defer func() {
		switch {
		case clean:
		case traces: // it has ended this goroutine, after a message was handled
			p.table().workers.run(p, nil)
		default:
			p.crashed(recover()) // nil: runtime.Goexit
		}
	}()
	p.table().notice()
	since := time.Time{}
	for n := 1; ; n++ {
		e, end := p.next(cur)
		if end && p.finishTurn() {
			continue
		}
		if e == nil {
			clean = true
			return
		}
		if !e.NoUse {
			p.touch()
		}
		if p.keeps && !e.ReadOnly {
			p.keepState()
		}
		if cur.ctx.LacksValues() != nil {
			p.extract(cur.ctx)
		}
		if p.table().trace == nil {
			_ = e.Task.Run(&p.Head, cur.ctx) // its op has dealt with it
		} else {
			p.runTraced(e, &traces)
		}
		if n%8 == 0 {
			since = fair(n, since)
		}
	}
}

// fair yields when a burst has lasted long enough.
func fair(n int, since time.Time) time.Time {
	now := time.Now()
	if n%burstMessages == 0 || !since.IsZero() && now.Sub(since) > burstTime {
		runtime.Gosched()
		return time.Now()
	}
	if since.IsZero() {
		return now
	}
	return since
}
