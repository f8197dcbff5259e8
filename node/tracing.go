package node

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/sessionproc/sessionproc/node/internal/handover"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// contained is t, or what a nil one stands for, with functions that do not panic, but for those of messages:
// ofTable contains these.
func (t *Trace) contained(log *slog.Logger) Trace {
	if t == nil {
		return Trace{}
	}
	return Trace{
		RequestBegun:    containRequestBegun(log, t.RequestBegun),
		RequestEnded:    containRequestEnded(log, t.RequestEnded),
		MessageBegun:    t.MessageBegun,
		MessageEnded:    t.MessageEnded,
		RequestRefused:  contain(log, "RequestRefused", t.RequestRefused),
		SessionStarted:  contain(log, "SessionStarted", t.SessionStarted),
		SessionEnded:    contain(log, "SessionEnded", t.SessionEnded),
		SessionCrashed:  contain(log, "SessionCrashed", t.SessionCrashed),
		SessionConflict: contain(log, "SessionConflict", t.SessionConflict),
		SessionMoved:    contain(log, "SessionMoved", t.SessionMoved),
		SessionPromoted: contain(log, "SessionPromoted", t.SessionPromoted),
		MoveRefused:     contain(log, "MoveRefused", t.MoveRefused),
		RecordKept:      contain(log, "RecordKept", t.RecordKept),
		TaskDone:        contain(log, "TaskDone", t.TaskDone),
		MemberChanged:   contain(log, "MemberChanged", t.MemberChanged),
		NodeChanged:     contain(log, "NodeChanged", t.NodeChanged),
	}
}

func rescuerOf(log *slog.Logger, name string) *rescuer {
	return &rescuer{log: log, name: "Trace." + name}
}

// contain returns f, contained in a goroutine of its own.
func contain[Info any](log *slog.Logger, name string, f func(Info)) func(Info) {
	if f == nil {
		return nil
	}
	r := rescuerOf(log, name)
	return func(info Info) { r.apart(func() { f(info) }) }
}

// What follows runs for each request and message. Each function contains f in the goroutine that calls it, which is
// prepared for its end, by a defer of its own: a closure for a shared one would copy what f is told once more.

// byUs reports whether a goroutine of the library makes the request.
func (r *TraceRequest) byUs() bool {
	return r.Op == engine.OpSubscribe.String() || r.Op == engine.OpAdopt.String()
}

func containRequestEnded(log *slog.Logger, f func(context.Context, TraceRequest)) func(context.Context, TraceRequest) {
	if f == nil {
		return nil
	}
	r := rescuerOf(log, "RequestEnded")
	apart := func(ctx context.Context, told TraceRequest) { r.apart(func() { f(ctx, told) }) }
	return func(ctx context.Context, told TraceRequest) {
		if told.byUs() {
			apart(ctx, told)
			return
		}
		returned := false
		defer r.rescue(&returned)
		f(ctx, told)
		returned = true
	}
}

// containRequestBegun: if f fails, or returns nil, the ctx stays what it is.
func containRequestBegun(log *slog.Logger, f func(context.Context, TraceRequest) context.Context,
) func(context.Context, TraceRequest) context.Context {
	if f == nil {
		return nil
	}
	r := rescuerOf(log, "RequestBegun")
	apart := func(ctx context.Context, told TraceRequest) (begun context.Context) {
		begun = ctx
		r.apart(func() { begun = cmp.Or(f(ctx, told), ctx) })
		return begun
	}
	return func(ctx context.Context, told TraceRequest) (begun context.Context) {
		if told.byUs() {
			return apart(ctx, told)
		}
		begun = ctx
		returned := false
		defer r.rescue(&returned)
		if c := f(ctx, told); c != nil {
			begun = c
		}
		returned = true
		return begun
	}
}

func containMessageEnded(log *slog.Logger, f func(context.Context, TraceMessage),
) func(context.Context, engine.TraceMessage) {
	if f == nil {
		return nil
	}
	r := rescuerOf(log, "MessageEnded")
	return func(ctx context.Context, told engine.TraceMessage) {
		returned := false
		defer r.rescue(&returned)
		f(ctx, messageOf(&told))
		returned = true
	}
}

// containMessageBegun: if f fails, or returns nil, the ctx stays what it is.
func containMessageBegun(log *slog.Logger, f func(context.Context, TraceMessage) context.Context,
) func(context.Context, engine.TraceMessage) context.Context {
	if f == nil {
		return nil
	}
	r := rescuerOf(log, "MessageBegun")
	return func(ctx context.Context, told engine.TraceMessage) (begun context.Context) {
		begun = ctx
		returned := false
		defer r.rescue(&returned)
		if c := f(ctx, messageOf(&told)); c != nil {
			begun = c
		}
		returned = true
		return begun
	}
}

// ofTable is what the table calls itself; nil: nothing.
func (t *Trace) ofTable(log *slog.Logger) *engine.TableTrace {
	of := engine.TableTrace{MessageBegun: containMessageBegun(log, t.MessageBegun),
		MessageEnded: containMessageEnded(log, t.MessageEnded)}
	some := of.MessageBegun != nil || of.MessageEnded != nil
	set := func(has bool, as func()) {
		if has {
			some = true
			as()
		}
	}
	set(t.SessionStarted != nil, func() {
		of.SessionStarted = func(i engine.TraceSessionStarted) { t.SessionStarted(TraceSessionStarted(i)) }
	})
	set(t.SessionEnded != nil, func() {
		of.SessionEnded = func(i engine.TraceSessionEnded) { t.SessionEnded(TraceSessionEnded(i)) }
	})
	set(t.SessionCrashed != nil, func() {
		of.SessionCrashed = func(i engine.TraceSessionCrashed) { t.SessionCrashed(TraceSessionCrashed(i)) }
	})
	set(t.SessionConflict != nil, func() {
		of.SessionConflict = func(i engine.TraceSessionConflict) { t.SessionConflict(TraceSessionConflict(i)) }
	})
	set(t.RequestRefused != nil, func() {
		of.RequestRefused = func(i engine.TraceRequestRefused) {
			t.RequestRefused(TraceRequestRefused{Op: i.Op.String(), Kind: i.Kind, Err: i.Err})
		}
	})
	set(t.RecordKept != nil, func() {
		of.RecordKept = func(i engine.TraceRecordKept) { t.RecordKept(TraceRecordKept(i)) }
	})
	set(t.TaskDone != nil, func() {
		of.TaskDone = func(i engine.TraceTaskDone) { t.TaskDone(TraceTaskDone(i)) }
	})
	if !some {
		return nil
	}
	return &of
}

func messageOf(i *engine.TraceMessage) TraceMessage {
	return TraceMessage{Op: i.Op.String(), Kind: i.Kind, Method: i.Method, Peer: i.Peer, Size: i.Size, Wait: i.Wait,
		Duration: i.Duration, Err: i.Err}
}

// ofDriver sets what the driver calls itself.
func (t *Trace) ofDriver(e *handover.Env) {
	if moved := t.SessionMoved; moved != nil {
		e.Moved = func(m handover.Move) { moved(TraceSessionMoved(m)) }
	}
	if promoted := t.SessionPromoted; promoted != nil {
		e.Promoted = func(p handover.Promotion) { promoted(TraceSessionPromoted(p)) }
	}
	if refused := t.MoveRefused; refused != nil {
		e.MoveRefused = func(r handover.Refusal) { refused(TraceMoveRefused(r)) }
	}
}

// JoinTraces returns a Trace that calls the functions of all, in their order; nil ones are passed
// over. A ctx that a function returns is what the next one is given, and those of RequestEnded
// and MessageEnded are called in the reverse order, each with the last ctx. Functions that
// nobody has are nil. With less than two traces it returns the only one, or nil.
func JoinTraces(all ...*Trace) *Trace {
	var some []*Trace
	for _, t := range all {
		if t != nil {
			some = append(some, t)
		}
	}
	if len(some) == 0 {
		return nil
	}
	joined := *some[0]
	if len(some) == 1 {
		return some[0]
	}
	for _, t := range some[1:] {
		joined.RequestBegun = begunInTurn(joined.RequestBegun, t.RequestBegun)
		joined.RequestEnded = endedInTurn(t.RequestEnded, joined.RequestEnded)
		joined.MessageBegun = begunInTurn(joined.MessageBegun, t.MessageBegun)
		joined.MessageEnded = endedInTurn(t.MessageEnded, joined.MessageEnded)
		joined.RequestRefused = inTurn(joined.RequestRefused, t.RequestRefused)
		joined.SessionStarted = inTurn(joined.SessionStarted, t.SessionStarted)
		joined.SessionEnded = inTurn(joined.SessionEnded, t.SessionEnded)
		joined.SessionCrashed = inTurn(joined.SessionCrashed, t.SessionCrashed)
		joined.SessionConflict = inTurn(joined.SessionConflict, t.SessionConflict)
		joined.SessionMoved = inTurn(joined.SessionMoved, t.SessionMoved)
		joined.SessionPromoted = inTurn(joined.SessionPromoted, t.SessionPromoted)
		joined.MoveRefused = inTurn(joined.MoveRefused, t.MoveRefused)
		joined.RecordKept = inTurn(joined.RecordKept, t.RecordKept)
		joined.TaskDone = inTurn(joined.TaskDone, t.TaskDone)
		joined.MemberChanged = inTurn(joined.MemberChanged, t.MemberChanged)
		joined.NodeChanged = inTurn(joined.NodeChanged, t.NodeChanged)
	}
	return &joined
}

// inTurn calls both functions, or returns the only one.
func inTurn[Info any](first, second func(Info)) func(Info) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return func(i Info) { first(i); second(i) }
}

func endedInTurn[Info any](first, second func(context.Context, Info)) func(context.Context, Info) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return func(ctx context.Context, i Info) { first(ctx, i); second(ctx, i) }
}

func begunInTurn[Info any](first, second func(context.Context, Info) context.Context,
) func(context.Context, Info) context.Context {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return func(ctx context.Context, i Info) context.Context {
		if begun := first(ctx, i); begun != nil {
			ctx = begun
		}
		if begun := second(ctx, i); begun != nil {
			ctx = begun
		}
		return ctx
	}
}
