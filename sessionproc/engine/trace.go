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

// TraceSessionStarted is the return of a start function, on the owner.
type TraceSessionStarted struct {
	Session  string // LogID
	Kind     string
	Wait     time.Duration // for its turn (Config.MaxStarting)
	Duration time.Duration // of the start function
	Err      error         // nil: the session lives; ErrCrashed: it panicked
}

// TraceSessionEnded is the end of a session that has lived, on the owner. A move is
// none; the end of an IdleTimeout or Lifetime is one, with ReasonExpired.
type TraceSessionEnded struct {
	Session string // LogID
	Kind    string
	Reason  sessionproc.Reason
	Lived   time.Duration // since its start, on whatever node, within 20 ms
}

// TraceSessionCrashed is a panic in a session, or an OnArrive that has failed, on the owner. If it does not restart
// its end follows, with ReasonCrashed, unless it was in its start function.
type TraceSessionCrashed struct {
	Session   string // LogID
	Kind      string
	Reference string        // as in CrashError and in the log, which has the stack
	Restarts  bool          // see KindConfig.Restart
	After     time.Duration // the back-off before it restarts
}

// TraceSessionConflict is the meeting of two copies of a session that had both
// changed, on the node where one of them goes on.
type TraceSessionConflict struct {
	Session string // LogID
	Kind    string
	Merged  bool // the kind's OnMerge joined them; false: the changes of one are lost
}

// TraceMessageHandled is the return of a handler, on the owner. A cast by a timer is
// one, too.
type TraceMessageHandled struct {
	Op       core.Op // OpCall or OpCast
	Kind     string
	Method   string
	Size     int           // bytes that the message counted with in the mailbox
	Wait     time.Duration // in the mailbox of this node, and for a place there
	Duration time.Duration // of the handler, and of encoding and giving its reply
	Err      error         // of the handler; ErrCrashed: it panicked
}

// TraceRequestRefused is a request that met a limit, on the owner. It has not run.
type TraceRequestRefused struct {
	Op   core.Op // OpCall, OpCast, OpRenew, or OpStart, which stands for OpEnsure
	Kind string
	Err  error // ErrOverloaded: it got no place in the mailbox, or not in time; or a *LimitError
}

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
	if renewed {
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
