package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// TableTrace is what a Table calls when something has happened to its sessions;
// nil fields are passed over. Package node fills it from its own Trace, which says
// what holds for all of them. None may panic; only MessageHandled
// may call runtime.Goexit.
type TableTrace struct {
	SessionStarted  func(TraceSessionStarted)
	SessionEnded    func(TraceSessionEnded)
	SessionCrashed  func(TraceSessionCrashed)
	SessionConflict func(TraceSessionConflict)
	MessageHandled  func(TraceMessageHandled)
	RequestRefused  func(TraceRequestRefused)
}

// What a TableTrace is told has the fields, with their meanings, of package node's Trace.
type (
	TraceSessionStarted struct {
		Session  string
		Kind     string
		Wait     time.Duration
		Duration time.Duration
		Err      error
	}
	TraceSessionEnded struct {
		Session string
		Kind    string
		Reason  sessionproc.Reason
		Lived   time.Duration
	}
	TraceSessionCrashed struct {
		Session   string
		Kind      string
		Reference string
		Restarts  bool
		After     time.Duration
	}
	TraceSessionConflict struct {
		Session string
		Kind    string
		Merged  bool
	}
	TraceMessageHandled struct {
		Op       core.Op
		Kind     string
		Method   string
		Size     int
		Wait     time.Duration
		Duration time.Duration
		Err      error
	}
	TraceRequestRefused struct {
		Op   core.Op
		Kind string
		Err  error
	}
)

// runTraced is e.op.Run for a table with a trace. handled is true while that hears of a
// handler that has returned.
func (p *process) runTraced(e *core.Envelope, handled *bool) {
	p.mu.Lock()
	starting := p.phase == phaseStarting
	p.mu.Unlock()
	m := TraceMessageHandled{Op: asks(e), Kind: p.Kind.Name, Size: int(e.Size)}
	if !starting {
		m.Method = methodOf(p.cur) // e may be in use again when it has run
	}
	begun := time.Now()
	m.Wait = max(0, begun.Sub(core.Epoch)-time.Duration(e.At))
	m.Err = sessionproc.ErrCrashed // unless run returns
	defer func() {
		m.Duration = time.Since(begun)
		p.traceRun(starting, m, handled)
	}()
	m.Err = e.Task.Run(&p.Head, p.cur.ctx)
}

func (p *process) traceRun(starting bool, m TraceMessageHandled, handled *bool) {
	t := p.table().trace
	switch _, not := m.Err.(core.NoHandler); {
	case not:
	case starting && t.SessionStarted != nil:
		t.SessionStarted(TraceSessionStarted{Session: sessionproc.LogID(p.ID), Kind: m.Kind, Wait: m.Wait,
			Duration: m.Duration,
			Err:      m.Err})
	case !starting && t.MessageHandled != nil:
		*handled = m.Err != sessionproc.ErrCrashed
		t.MessageHandled(m)
		*handled = false
	}
}

// asks is OpCast or, for what somebody waits for, OpCall.
func asks(e *core.Envelope) core.Op {
	if e.Ctx == nil {
		return core.OpCast
	}
	return core.OpCall
}

// countEnd counts and reports the end of a session that has lived. One that was
// renewed goes on.
func (p *process) countEnd(reason sessionproc.Reason) {
	p.mu.Lock()
	renewed := p.ext != nil && p.ext.renewed != nil
	lived := time.Duration(max(0, p.table().clock.now.Load()-p.begun))
	p.mu.Unlock()
	if renewed || reason == fencedOff {
		return
	}
	if reason == abrupt {
		reason = sessionproc.ReasonClosed
	}
	p.table().counts.end(p, reason)
	if t := p.table().trace; t != nil && t.SessionEnded != nil {
		t.SessionEnded(TraceSessionEnded{Session: sessionproc.LogID(p.ID), Kind: p.Kind.Name, Reason: reason, Lived: lived})
	}
}

func (p *process) traceCrash(reference string, restarts bool, after time.Duration) {
	if t := p.table().trace; t != nil && t.SessionCrashed != nil {
		t.SessionCrashed(TraceSessionCrashed{Session: sessionproc.LogID(p.ID), Kind: p.Kind.Name, Reference: reference,
			Restarts: restarts, After: after})
	}
}

func (p *process) traceConflict(merged bool) {
	if t := p.table().trace; t != nil && t.SessionConflict != nil {
		t.SessionConflict(TraceSessionConflict{Session: sessionproc.LogID(p.ID), Kind: p.Kind.Name, Merged: merged})
	}
}

// refuse reports what met a limit.
func (t *Table) refuse(op core.Op, kind string, err error) {
	if t.trace != nil && t.trace.RequestRefused != nil {
		t.trace.RequestRefused(TraceRequestRefused{Op: op, Kind: kind, Err: err})
	}
}
