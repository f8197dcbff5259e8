package sessionproc

import (
	"context"
	"fmt"
	"time"
)

// timer is one After or Every.
type timer struct {
	name    string // "": it has none
	bound   *binding
	payload []byte
	raw     bool
	every   time.Duration // 0: once
	due     time.Time     // guarded by the session's mu
	t       *time.Timer
}

func (t *timer) stop() { t.t.Stop() }

// retryTimer is how long a timer waits whose message finds the mailbox full or the
// node without quorum.
const retryTimer = 50 * time.Millisecond

func setTimer[Msg any](ctx context.Context, n *Notice[Msg], name string, d time.Duration, again bool, msg Msg) (cancel func()) {
	p := (*process)(FromContext(ctx))
	b, detached := p.kind.byName[n.name], p.table.detached
	if mine := n.kind == p.kind.name && b != nil && b.op == OpCast; !mine && (detached == nil || !detached.anyKind) {
		panic(fmt.Sprintf("sessionproc: a timer for notice %q of kind %q in a session of kind %q", n.name, n.kind, p.kind.name))
	}
	payload, err := n.msg.encodeLocal(nil, msg) // a copy of its own, as it may be sent many times
	if err != nil {
		panic(fmt.Sprintf("sessionproc: the message of a timer for notice %q: %v", n.name, err))
	}
	if detached != nil {
		return noteTimer(detached, n, name, d, again, payload)
	}
	tm := &timer{name: name, bound: b, payload: payload, raw: n.msg.raw}
	if again {
		tm.every = d
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != phaseGone {
		p.cancelTimerLocked(name)
		p.setTimerLocked(tm, d)
	}
	return func() { p.dropTimer(tm) }
}

// setTimerLocked starts tm. In a sealed session it starts when that runs on.
func (p *process) setTimerLocked(tm *timer, d time.Duration) {
	x := p.extra()
	if x.timers == nil {
		x.timers = map[*timer]struct{}{}
	}
	x.timers[tm] = struct{}{}
	tm.due = time.Now().Add(d)
	p.armLocked(tm, d)
}

func (p *process) armLocked(tm *timer, d time.Duration) {
	if tm.t == nil {
		tm.t = time.AfterFunc(d, func() { p.fire(tm) })
	} else {
		tm.t.Reset(d)
	}
}

// armAllLocked sets the timers of a session that runs again. Those that were due
// meanwhile fire now, in their order.
func (p *process) armAllLocked() {
	now := time.Now()
	for _, tm := range p.timersLocked() {
		if left := tm.due.Sub(now); left > 0 {
			p.armLocked(tm, left)
		} else {
			p.fireLocked(tm)
		}
	}
}

// fire sends a timer's message and sets it anew or drops it: all of it or, in a
// session that is sealed, nothing.
func (p *process) fire(tm *timer) {
	p.mu.Lock()
	if p.ext == nil || p.phase >= phaseSealed {
		p.mu.Unlock()
		return
	}
	if _, set := p.ext.timers[tm]; !set {
		p.mu.Unlock()
		return
	}
	p.fireLocked(tm)
	start := !p.running && p.head != nil
	p.running = p.running || start
	p.mu.Unlock()
	if start {
		p.table.workers.run(p, nil)
	}
}

func (p *process) fireLocked(tm *timer) {
	m := newNamedCast(tm.bound, tm.raw, tm.payload)
	m.noTouch = true
	cfg := &p.kind.cfg
	if p.table.PausedBy() != nil || int(p.queued) >= cfg.Mailbox || p.bytes > 0 && int(p.bytes)+int(m.size) > cfg.MailboxBytes {
		p.armLocked(tm, retryTimer)
		return
	}
	if tm.every > 0 {
		tm.due = time.Now().Add(tm.every)
		p.armLocked(tm, tm.every)
	} else {
		delete(p.ext.timers, tm)
	}
	p.appendLocked(&m.envelope)
}

func (p *process) dropTimer(tm *timer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if tm.t == nil { // the session had gone
		return
	}
	tm.t.Stop()
	if p.ext != nil {
		delete(p.ext.timers, tm)
	}
}

// CancelTimer cancels the timer of that name, wherever the session was when it was
// set, and reports whether there was one. A message that it has cast already and
// that waits in the mailbox is still handled. It may be called from any goroutine;
// once the session has left this node it does nothing and returns false.
func (s *Session) CancelTimer(name string) bool {
	checkTimerName(name)
	if d := s.table.detached; d != nil {
		return d.cancelTimer(name)
	}
	p := (*process)(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	if left := p.phase == phaseSealed && !p.running; left {
		return false
	}
	return p.cancelTimerLocked(name)
}

func (p *process) cancelTimerLocked(name string) bool {
	if name == "" || p.ext == nil {
		return false
	}
	for tm := range p.ext.timers {
		if tm.name == name {
			if tm.t != nil {
				tm.t.Stop()
			}
			delete(p.ext.timers, tm)
			return true
		}
	}
	return false
}

func checkTimerName(name string) {
	if name == "" || len(name) > 64 {
		panic(fmt.Sprintf("sessionproc: the name of a timer has %d bytes; 1 to 64 are allowed", len(name)))
	}
}
