package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// mayExpire reports whether sessions of the kind need an expiry.
func mayExpire(c *core.KindSettings) bool { return c.IdleTimeout > 0 || c.Lifetime > 0 }

// expire ends the sessions whose time is over, as many as fit into a tick. gap is the time since its
// last call. It advances the clock between batches, so that a message which comes meanwhile counts
// as use in time.
func (t *Table) expire(now int64, gap time.Duration) {
	w := t.wheel
	if w == nil {
		return
	}
	paused := t.PausedBy() != nil
	if paused || gap > stoodStill {
		w.noteStandstill(now-int64(gap), now)
	}
	var buf [looksPerLock]*expiry
	for looks := 0; looks < looksPerTick && !paused; looks += looksPerLock {
		due, over := w.due(now, buf[:0])
		for _, e := range due {
			e.p.expire(e, now)
		}
		t.notice()
		if t.clock.advance(); over {
			return
		}
	}
}

// expire ends a session that due removed from the wheel. If the session is in use after all, it
// goes back into the wheel. The end of the Lifetime ends it in spite of use, when the present
// handler has returned.
func (p *process) expire(e *expiry, now int64) {
	p.mu.Lock()
	old := e.ends != 0 && e.ends <= now
	idle := p.Kind.Settings.IdleTimeout > 0 && p.last.Load()+int64(p.Kind.Settings.IdleTimeout) <= now
	ends, stops := false, false
	switch {
	case p.phase >= phaseEnding || p.ext != nil && (p.ext.reason != "" || p.ext.renewed != nil):
	case p.phase == phaseLive && !p.running && p.head == nil && (old || idle):
		p.beginEndLocked(sessionproc.ReasonExpired, nil) // it returns no messages, since nothing runs or waits
		p.running, ends = true, true
	case p.phase == phaseQuarantined && !p.running && (old || idle):
		p.beginEndLocked(sessionproc.ReasonExpired, nil) // what it returns are messages of timers and watches
		p.running, ends = true, true
	case p.phase == phaseLive && (old || idle && !p.inUseLocked()):
		stops = true
	default:
		p.table().wheel.again(e, now)
	}
	p.mu.Unlock()
	switch {
	case ends:
		p.endIdle(sessionproc.ReasonExpired)
	case stops:
		p.stop(sessionproc.ReasonExpired)
	}
}

// inUseLocked reports whether a message that counts as use is being handled or waits. Messages that
// do not count, such as the ticks of timers, do not keep a session alive even if they keep it busy
// all the time.
func (p *process) inUseLocked() bool {
	if p.cur != nil && !p.cur.noTouch || p.ext != nil && p.restartsLocked() {
		return true
	}
	for s := p.ext.firstInLine(); s != nil; s = s.Next {
		if !s.Envelope.NoUse {
			return true
		}
	}
	for e := p.head; e != nil; e = e.Next {
		if !e.NoUse {
			return true
		}
	}
	return false
}

// expiresLocked makes the expiry of a session that begins to live here. left is the rest of its
// Lifetime.
func (p *process) expiresLocked(left time.Duration) {
	if p.Kind.Settings.Lifetime > 0 {
		p.expiry = &expiry{p: p, ends: p.table().clock.now.Load() + int64(left)}
	} else if mayExpire(&p.Kind.Settings) {
		p.expiry = &expiry{p: p}
	}
}

// lifetimeLeft returns the rest of the Lifetime for a snapshot, where 0 means that there is no
// Lifetime. It is called in the session's goroutine.
func (p *process) lifetimeLeft() time.Duration {
	if p.expiry == nil || p.expiry.ends == 0 {
		return 0
	}
	left := time.Duration(p.expiry.ends - p.table().clock.now.Load())
	if left == 0 {
		return -1 // over just now; 0 would mean that it never ends
	}
	return left
}

// lifetimeOf returns the rest of the Lifetime of a session that arrives with told in its snapshot:
// at most the Lifetime of the kind on this node. If told is 0, the previous node had no Lifetime,
// and it begins now.
func lifetimeOf(c *core.KindSettings, told time.Duration) time.Duration {
	if told == 0 {
		return c.Lifetime
	}
	return min(told, c.Lifetime)
}

// touch records a use of session id.
func (t *Table) touch(part int, id string) error {
	if why := t.PausedBy(); why != nil {
		return why
	}
	p, err := t.look(part, id)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase >= phaseRenewed && !p.worksLocked() {
		return p.tooLateLocked()
	}
	p.touch()
	return nil
}
