package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Trace has functions that a node calls when something has happened, as
// httptrace.ClientTrace has for a request; any of them may be nil. Each gets one
// struct of values; functions and fields are added in later releases, and never
// changed. There are no payloads in them, and no session IDs but as
// sessionproc.LogID; the text of a handler's own error is passed on as it is.
//
// RequestDone is called on the node where a request was made, in the goroutine of
// its caller, which waits for it. All others are called where the session is:
// MessageHandled in the goroutine of the session, the others in one of their own, for
// which the session waits (SessionStarted, SessionCrashed, SessionConflict, mostly
// SessionEnded), or the node (SessionMoved, SessionPromoted, MoveRefused, RequestRefused, a SessionEnded
// of a session that was idle). An answer is not delayed by MessageHandled. So a
// function must be quick, must not wait for a session or for this node, and may be
// called concurrently with itself and others. If it panics, or calls runtime.Goexit,
// that is contained, and logged once for each function; only a RequestDone that calls
// runtime.Goexit ends the goroutine of the request's caller.
//
// Of one session SessionStarted comes before any MessageHandled, SessionCrashed
// after the MessageHandled of that handler, and SessionEnded after both.
//
// A Trace is copied by Start. One may be given to many nodes.
//
// # Names of metrics
//
// An exporter uses these names, and adds no label that grows with the sessions.
// "Stats" is the node's own NodeStats. The last word of a name but for "total" is its
// unit; result is what TraceResult says.
//
//	name                                      type       labels               from
//	sessionproc_sessions                      gauge      kind                 Stats.Kinds
//	sessionproc_starts_total                  counter    kind,result          SessionStarted
//	sessionproc_start_seconds                 histogram  kind                 SessionStarted.Duration
//	sessionproc_start_wait_seconds            histogram  kind                 SessionStarted.Wait
//	sessionproc_ends_total                    counter    reason               Stats.Ends
//	sessionproc_session_seconds               histogram  kind,reason          SessionEnded.Lived
//	sessionproc_crashes_total                 counter    -                    Stats.Crashes
//	sessionproc_restarts_total                counter    -                    Stats.Restarts
//	sessionproc_slow_handlers_total           counter    -                    Stats.Slow
//	sessionproc_large_states_total            counter    -                    Stats.Large
//	sessionproc_requests_total                counter    op,kind,forwarded,result  RequestDone
//	sessionproc_request_seconds               histogram  op,kind,forwarded    RequestDone.Duration, without OpSubscribe
//	sessionproc_request_bytes                 histogram  op,kind              RequestDone.Size, if Sent > 0
//	sessionproc_forwarded_total               counter    -                    Stats.Forwarded
//	sessionproc_calls_total                   counter    kind,method,result   MessageHandled, Op OpCall
//	sessionproc_call_seconds                  histogram  kind,method          MessageHandled.Duration, Op OpCall
//	sessionproc_casts_total                   counter    kind,method,result   MessageHandled, Op OpCast
//	sessionproc_cast_seconds                  histogram  kind,method          MessageHandled.Duration, Op OpCast
//	sessionproc_mailbox_wait_seconds          histogram  kind                 MessageHandled.Wait
//	sessionproc_mailbox_messages              gauge      -                    Stats.Mailbox.Waiting
//	sessionproc_mailbox_sessions              gauge      -                    Stats.Mailbox.Sessions
//	sessionproc_mailbox_deepest_messages      gauge      -                    Stats.Mailbox.Deepest
//	sessionproc_mailbox_oldest_seconds        gauge      -                    Stats.Mailbox.Oldest
//	sessionproc_heap_bytes                    gauge      -                    Stats.Heap, if there is a MemoryMark
//	sessionproc_memory_mark_bytes             gauge      -                    Stats.MemoryMark, if there is one
//	sessionproc_refused_total                 counter    op,kind,result       RequestRefused
//	sessionproc_moved_total                   counter    -                    Stats.Moved
//	sessionproc_taken_total                   counter    -                    Stats.Taken
//	sessionproc_move_seconds                  histogram  kind                 SessionMoved.Duration, if not Arrived
//	sessionproc_move_bytes                    histogram  kind                 SessionMoved.Size, if not Arrived
//	sessionproc_moves_refused_total           counter    here                 MoveRefused
//	sessionproc_promoted_total                counter    -                    Stats.Promoted
//	sessionproc_records_total                 counter    -                    Stats.Records
//	sessionproc_standbys                      gauge      -                    Stats.Standbys
//	sessionproc_standby_bytes                 gauge      -                    Stats.StandbyBytes
//	sessionproc_copies_merged_total           counter    -                    Stats.Merged
//	sessionproc_conflicts_total               counter    -                    Stats.Conflicts
type Trace struct {
	// RequestDone: a request that was made on this node has its outcome.
	RequestDone func(TraceRequestDone)
	// MessageHandled: a handler of a session of this node has returned.
	MessageHandled func(TraceMessageHandled)
	// RequestRefused: a request for a session of this node met a limit.
	RequestRefused func(TraceRequestRefused)

	// SessionStarted: a start function has returned, on this node.
	SessionStarted func(TraceSessionStarted)
	// SessionEnded: a session has ended on this node, also by expiry.
	SessionEnded func(TraceSessionEnded)
	// SessionCrashed: a handler, start function or OnEnd has panicked, or OnArrive has failed.
	SessionCrashed func(TraceSessionCrashed)
	// SessionConflict: two copies of a session have met that had both changed.
	SessionConflict func(TraceSessionConflict)

	// SessionMoved: a session has gone to another node, or come from one.
	SessionMoved func(TraceSessionMoved)
	// SessionPromoted: a session goes on here from its standby, as its node was lost.
	SessionPromoted func(TraceSessionPromoted)
	// MoveRefused: a session stays where it is, as its owner cannot have it. It is
	// called on both nodes, at each try.
	MoveRefused func(TraceMoveRefused)
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
	Op       string // "call" or "cast"
	Kind     string
	Method   string
	Size     int           // bytes that the message counted with in the mailbox
	Wait     time.Duration // in the mailbox of this node, and for a place there
	Duration time.Duration // of the handler, and of encoding and giving its reply
	Err      error         // of the handler; ErrCrashed: it panicked
}

// TraceRequestRefused is a request that met a limit, on the owner. It has not run.
type TraceRequestRefused struct {
	Op   string // "call", "cast", "renew", or "start", also for an ensure
	Kind string
	Err  error // ErrOverloaded: it got no place in the mailbox, or not in time; or a *LimitError
}

// TraceRequestDone is the outcome of a request, on the node where it was made: a
// call, cast, start, ensure, touch or terminate, whether a session is started, or
// ("subscribe") one poll of a subscription, which lasts until there is news.
// What StartMany, TerminateMany and broadcasts send to another node together is none.
type TraceRequestDone struct {
	Op       string // "call", "cast", "start", "ensure", "started", "terminate", "touch", "renew" or "subscribe"
	Kind     string // "": not known here, as for untyped requests
	Method   string // of a call or cast; of a poll its event
	Sent     int    // how often it was sent to another node; 0: the session is on this one
	Peer     string // the node, host:port, that it was sent to last
	Size     int    // bytes of the encoded request, if it was sent
	Duration time.Duration
	Err      error // the cause, without the *sessionproc.OpError around it
	// MaybeExecuted is what sessionproc.MaybeExecuted says of the error.
	MaybeExecuted bool
}

// TraceSessionMoved is the move of a session, on both nodes.
type TraceSessionMoved struct {
	Session  string // LogID
	Kind     string
	Peer     string        // slot/boot of the other node
	Arrived  bool          // it has come to this node; false: it has gone
	Size     int           // bytes of its snapshot
	Duration time.Duration // from when its messages began to wait until the other node had it; 0 if Arrived
}

// TraceSessionPromoted is a session that goes on from its standby, on its new node.
type TraceSessionPromoted struct {
	Session string // LogID
	Kind    string
	Age     time.Duration // since the standby had its last record
}

// TraceMoveRefused is a session that stays where it is, on both nodes.
type TraceMoveRefused struct {
	Session string // LogID
	Peer    string // slot/boot of the other node
	Here    bool   // this node has refused it
	Cause   string // the same text as in the log
}

// contained is t, or what a nil one stands for, with functions that do not panic.
func (t *Trace) contained(log *slog.Logger) Trace {
	if t == nil {
		return Trace{}
	}
	return Trace{
		RequestDone: contain(log, "RequestDone", t.RequestDone, func(i TraceRequestDone) bool {
			return i.Op != engine.OpSubscribe.String() && i.Op != engine.OpAdopt.String()
		}),
		MessageHandled:  contain(log, "MessageHandled", t.MessageHandled, func(TraceMessageHandled) bool { return true }),
		RequestRefused:  contain(log, "RequestRefused", t.RequestRefused, nil),
		SessionStarted:  contain(log, "SessionStarted", t.SessionStarted, nil),
		SessionEnded:    contain(log, "SessionEnded", t.SessionEnded, nil),
		SessionCrashed:  contain(log, "SessionCrashed", t.SessionCrashed, nil),
		SessionConflict: contain(log, "SessionConflict", t.SessionConflict, nil),
		SessionMoved:    contain(log, "SessionMoved", t.SessionMoved, nil),
		SessionPromoted: contain(log, "SessionPromoted", t.SessionPromoted, nil),
		MoveRefused:     contain(log, "MoveRefused", t.MoveRefused, nil),
	}
}

// contain returns f, contained. here, if not nil, says of what it may be told in the
// goroutine that calls it, which is prepared for its end.
func contain[Info any](log *slog.Logger, name string, f func(Info), here func(Info) bool) func(Info) {
	if f == nil {
		return nil
	}
	r := &rescuer{log: log, name: "Trace." + name}
	apart := func(info Info) { r.apart(func() { f(info) }) }
	if here == nil {
		return apart
	}
	return func(info Info) {
		if here(info) {
			r.run(func() { f(info) })
		} else {
			apart(info)
		}
	}
}

// ofTable is what the table calls itself; nil: nothing.
func (t *Trace) ofTable() *engine.TableTrace {
	of := &engine.TableTrace{}
	if f := t.SessionStarted; f != nil {
		of.SessionStarted = func(i engine.TraceSessionStarted) { f(TraceSessionStarted(i)) }
	}
	if f := t.SessionEnded; f != nil {
		of.SessionEnded = func(i engine.TraceSessionEnded) { f(TraceSessionEnded(i)) }
	}
	if f := t.SessionCrashed; f != nil {
		of.SessionCrashed = func(i engine.TraceSessionCrashed) { f(TraceSessionCrashed(i)) }
	}
	if f := t.SessionConflict; f != nil {
		of.SessionConflict = func(i engine.TraceSessionConflict) { f(TraceSessionConflict(i)) }
	}
	if f := t.MessageHandled; f != nil {
		of.MessageHandled = func(i engine.TraceMessageHandled) {
			f(TraceMessageHandled{Op: i.Op.String(), Kind: i.Kind, Method: i.Method, Size: i.Size, Wait: i.Wait,
				Duration: i.Duration, Err: i.Err})
		}
	}
	if f := t.RequestRefused; f != nil {
		of.RequestRefused = func(i engine.TraceRequestRefused) {
			f(TraceRequestRefused{Op: i.Op.String(), Kind: i.Kind, Err: i.Err})
		}
	}
	if t.SessionStarted == nil && t.SessionEnded == nil && t.SessionCrashed == nil && t.SessionConflict == nil &&
		t.MessageHandled == nil && t.RequestRefused == nil {
		return nil
	}
	return of
}

// TraceResult is a short name for the outcome of a request or handler, as a label
// of metrics: "ok"; for a sentinel of package sessionproc its name, as "not_found"
// of ErrNotFound; "deadline_exceeded" and "canceled"; and "error" for all others,
// those made with sessionproc.NewError included.
func TraceResult(err error) string {
	if err == nil {
		return "ok"
	}
	for _, r := range results {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "error"
}

var results = []struct {
	err  error
	name string
}{
	{sessionproc.ErrNotFound, "not_found"},
	{sessionproc.ErrAlreadyStarted, "already_started"},
	{sessionproc.ErrWrongKind, "wrong_kind"},
	{sessionproc.ErrUnknownKind, "unknown_kind"},
	{sessionproc.ErrUnknownMethod, "unknown_method"},
	{sessionproc.ErrBadRequest, "bad_request"},
	{sessionproc.ErrBadReply, "bad_reply"},
	{sessionproc.ErrCrashed, "crashed"},
	{sessionproc.ErrTerminated, "terminated"},
	{sessionproc.ErrOverloaded, "overloaded"},
	{sessionproc.ErrTooManySessions, "too_many_sessions"},
	{sessionproc.ErrCallCycle, "call_cycle"},
	{sessionproc.ErrInvalidID, "invalid_id"},
	{sessionproc.ErrUnavailable, "unavailable"},
	{sessionproc.ErrUnsupported, "unsupported"},
	{sessionproc.ErrClosed, "closed"},
	{sessionproc.ErrNoQuorum, "no_quorum"},
	{sessionproc.ErrRateLimited, "rate_limited"},
	{sessionproc.ErrMemoryMark, "memory_mark"},
	{sessionproc.ErrKeyReused, "key_reused"},
	{sessionproc.ErrReplied, "replied"},
	{context.DeadlineExceeded, "deadline_exceeded"},
	{context.Canceled, "canceled"},
}
