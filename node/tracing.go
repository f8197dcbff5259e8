package node

import (
	"context"
	"log/slog"

	"github.com/sessionproc/sessionproc/node/internal/handover"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// contained is t, or what a nil one stands for, with functions that do not panic.
func (t *Trace) contained(log *slog.Logger) Trace {
	if t == nil {
		return Trace{}
	}
	ours := func(r TraceRequest) bool {
		return r.Op == engine.OpSubscribe.String() || r.Op == engine.OpAdopt.String()
	}
	never := func(TraceMessage) bool { return false }
	return Trace{
		RequestBegun:    containBegun(log, "RequestBegun", t.RequestBegun, ours),
		RequestEnded:    containEnded(log, "RequestEnded", t.RequestEnded, ours),
		MessageBegun:    containBegun(log, "MessageBegun", t.MessageBegun, never),
		MessageEnded:    containEnded(log, "MessageEnded", t.MessageEnded, never),
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

// contain returns f, contained in a goroutine of its own.
func contain[Info any](log *slog.Logger, name string, f func(Info)) func(Info) {
	if f == nil {
		return nil
	}
	r := &rescuer{log: log, name: "Trace." + name}
	return func(info Info) { r.apart(func() { f(info) }) }
}

// containEnded returns f, contained in the goroutine that calls it, which is prepared for its
// end, unless that is one of ours.
func containEnded[Info any](log *slog.Logger, name string, f func(context.Context, Info), ours func(Info) bool,
) func(context.Context, Info) {
	if f == nil {
		return nil
	}
	r := &rescuer{log: log, name: "Trace." + name}
	apart := func(ctx context.Context, info Info) { r.apart(func() { f(ctx, info) }) }
	return func(ctx context.Context, info Info) {
		if ours(info) {
			apart(ctx, info)
		} else {
			r.run(func() { f(ctx, info) })
		}
	}
}

// containBegun is containEnded for an f that returns a ctx. If it fails, or returns nil, that is ctx.
func containBegun[Info any](log *slog.Logger, name string, f func(context.Context, Info) context.Context,
	ours func(Info) bool) func(context.Context, Info) context.Context {
	if f == nil {
		return nil
	}
	r := &rescuer{log: log, name: "Trace." + name}
	apart := func(ctx context.Context, info Info) (begun context.Context) {
		r.apart(func() { begun = f(ctx, info) })
		return begun
	}
	return func(ctx context.Context, info Info) (begun context.Context) {
		if ours(info) {
			begun = apart(ctx, info)
		} else {
			r.run(func() { begun = f(ctx, info) })
		}
		if begun == nil {
			return ctx
		}
		return begun
	}
}

// ofTable is what the table calls itself; nil: nothing.
func (t *Trace) ofTable() *engine.TableTrace {
	of := engine.TableTrace{}
	some := false
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
	set(t.MessageBegun != nil, func() {
		of.MessageBegun = func(ctx context.Context, i engine.TraceMessage) context.Context {
			return t.MessageBegun(ctx, messageOf(&i))
		}
	})
	set(t.MessageEnded != nil, func() {
		of.MessageEnded = func(ctx context.Context, i engine.TraceMessage) { t.MessageEnded(ctx, messageOf(&i)) }
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
