package engine

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// TableTrace is what a Table calls when something has happened to its sessions;
// nil fields are passed over. Package node fills it from its own Trace, which says
// what holds for all of them. None may panic; only MessageBegun, which then is a crash of its session, and
// MessageEnded may call runtime.Goexit. MessageBegun does not return nil.
type TableTrace struct {
	MessageBegun    func(context.Context, TraceMessage) context.Context
	MessageEnded    func(context.Context, TraceMessage)
	SessionStarted  func(TraceSessionStarted)
	SessionEnded    func(TraceSessionEnded)
	SessionCrashed  func(TraceSessionCrashed)
	SessionConflict func(TraceSessionConflict)
	RequestRefused  func(TraceRequestRefused)
	TaskDone        func(TraceTaskDone)
	RecordKept      func(TraceRecordKept)
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
	TraceMessage struct {
		Op       core.Op
		Kind     string
		Method   string
		Peer     string
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
	TraceTaskDone struct {
		Session  string
		Kind     string
		Task     string
		Duration time.Duration
		Err      error
	}
	TraceRecordKept struct {
		Kind     string
		Size     int
		Duration time.Duration
		Err      error
	}
)

// runTraced is e.Task.Run for a table with a trace. ends is true while MessageEnded runs.
func (p *process) runTraced(e *core.Envelope, ends *bool) {
	t, c, starting := p.table().trace, p.cur.ctx, p.cur.starting // e may be in use again when it has run
	m := TraceMessage{Op: asks(e, starting), Kind: p.Kind.Name, Size: int(e.Size)}
	if !starting {
		m.Method = methodOf(p.cur)
	}
	if in, ok := e.Task.(*Inbound); ok {
		m.Peer = in.Peer
	}
	begun := time.Since(core.Epoch) // it reads one clock, time.Now two
	m.Wait = max(0, begun-time.Duration(e.At))
	var ctx context.Context = c
	told := t.MessageBegun != nil && isToRun(e, starting)
	if told {
		ctx = c.Begin(func(ctx context.Context) context.Context { return t.MessageBegun(ctx, m) })
	}
	m.Err = sessionproc.ErrCrashed // unless run returns
	defer func() {
		m.Duration = time.Since(core.Epoch) - begun
		p.traceRun(ctx, starting, told, m, ends)
	}()
	m.Err = e.Task.Run(&p.Head, c)
}

// traceRun tells of a handler or start function that has returned. told: a trace has heard that it began.
func (p *process) traceRun(ctx context.Context, starting, told bool, m TraceMessage, ends *bool) {
	t := p.table().trace
	_, not := m.Err.(core.NoHandler)
	if starting && !not && t.SessionStarted != nil {
		t.SessionStarted(TraceSessionStarted{Session: sessionproc.LogID(p.ID), Kind: m.Kind, Wait: m.Wait,
			Duration: m.Duration, Err: m.Err})
	}
	if not && told {
		m.Err = context.Canceled
	}
	if t.MessageEnded != nil && (told || !not) {
		*ends = m.Err != sessionproc.ErrCrashed
		t.MessageEnded(ctx, m)
		*ends = false
	}
}

// isToRun reports whether a message that its session has taken runs a handler or start function, unless
// its caller gives up at this moment.
func isToRun(e *core.Envelope, starting bool) bool {
	if in, ok := e.Task.(*Inbound); ok && in.Op == core.OpSubscribe {
		return false
	}
	if _, ok := e.Task.(named); !ok && !starting {
		return false // of the library
	}
	return e.Ctx == nil || e.Ctx.IsCast() || e.IsQueued()
}

// asks is OpStart, OpCast or, for what somebody waits for, OpCall.
func asks(e *core.Envelope, starting bool) core.Op {
	switch {
	case starting:
		return core.OpStart
	case e.Ctx == nil || e.Ctx.IsCast():
		return core.OpCast
	}
	return core.OpCall
}

// recordTrace returns what tells of a record that is at its standbys, or cannot be; nil: nobody is told.
func (t *Table) recordTrace(r *Record, err error) func() {
	if t.trace == nil || t.trace.RecordKept == nil {
		return nil
	}
	told := TraceRecordKept{Kind: r.p.Kind.Name, Size: len(r.Body),
		Duration: time.Duration(int64(time.Since(core.Epoch)) - r.made), Err: err}
	return func() { t.trace.RecordKept(told) }
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
