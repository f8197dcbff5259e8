package sessionproc

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Session is what a handler or start function knows of the session it runs in.
// It may be kept and used from any goroutine.
type Session process

// FromContext returns the session whose handler, start function or Terminate
// method ctx was given to. It panics with any other ctx: to test a handler by
// itself, give it a ctx made by nodetest.Context.
func FromContext(ctx context.Context) *Session {
	c := calling(ctx)
	if c == nil {
		panic("sessionproc: FromContext outside of a session: ctx is not one that a handler was given; in a test use nodetest.Context")
	}
	return (*Session)(c.p)
}

// ID returns the session's ID.
func (s *Session) ID() string { return s.id }

// Kind returns the name of its kind.
func (s *Session) Kind() string { return s.kind.name }

// Incarnation identifies one life of a session: every start has another one,
// on whatever node. A session that moves keeps it.
type Incarnation struct {
	Number uint64 // counts the starts of the node
	Boot   uint64 // of the node, unique for each of its own starts
}

// String returns both numbers.
func (i Incarnation) String() string { return fmt.Sprintf("%d@%x", i.Number, i.Boot) }

// Incarnation returns which life of the session this is.
func (s *Session) Incarnation() Incarnation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (*process)(s).incarnationLocked()
}

func (p *process) incarnationLocked() Incarnation {
	i := Incarnation{p.born, p.table.cfg.Boot}
	if p.ext != nil && p.ext.boot != 0 {
		i.Boot = p.ext.boot
	}
	return i
}

// Stop ends the session when the present handler has returned and its reply has
// been given: queued requests get ErrTerminated, and the state's Terminate
// method is called with reason, which is Stopped if it is empty.
func (s *Session) Stop(reason Reason) {
	if reason == "" {
		reason = Stopped
	}
	p := (*process)(s)
	p.mu.Lock()
	x := p.extra()
	if x.reason == "" {
		x.reason = reason
	}
	idle := !p.running && p.phase == phaseLive // called by a goroutine that a handler left behind
	if idle {
		p.running = true
	}
	p.mu.Unlock()
	if idle {
		p.table.workers.run(p)
	}
}

// Cluster reaches other sessions. Pass the handler's ctx on: the deadline and
// the chain of calls travel in it.
func (s *Session) Cluster() Caller { return s.table.cfg.Cluster }

// Logger returns the node's logger with the session's LogID and kind.
func (s *Session) Logger() *slog.Logger { return (*process)(s).logger() }

// timer is one After or Every.
type timer struct {
	bound   *binding
	payload []byte
	raw     bool
	every   time.Duration // 0: once
	due     time.Time     // guarded by the session's mu
	t       *time.Timer
}

func (t *timer) stop() { t.t.Stop() }

// retryTimer is how long a timer waits whose message finds the mailbox full.
const retryTimer = 50 * time.Millisecond

func setTimer[Msg any](ctx context.Context, n *Notice[Msg], d time.Duration, again bool, msg Msg) (cancel func()) {
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
		return noteTimer(detached, n, d, again, payload)
	}
	tm := &timer{bound: b, payload: payload, raw: n.msg.raw}
	if again {
		tm.every = d
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != phaseGone {
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
		p.table.workers.run(p)
	}
}

func (p *process) fireLocked(tm *timer) {
	m := newNamedCast(tm.bound, tm.raw, tm.payload)
	m.noTouch = true
	cfg := &p.kind.cfg
	if int(p.queued) >= cfg.Mailbox || p.bytes > 0 && int(p.bytes)+int(m.size) > cfg.MailboxBytes {
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
