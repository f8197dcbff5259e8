package node

import (
	"context"
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Trace has functions that a node calls when something begins or has happened, as
// httptrace.ClientTrace has for a request; any of them may be nil. Each gets one
// struct of values; functions and fields are added in later releases, and never
// changed. There are no payloads in them, and no session IDs but as
// sessionproc.LogID; the text of a handler's own error is passed on as it is.
//
// RequestBegun and RequestEnded are called on the node where a request is made, in the
// goroutine of its caller, which waits for them. All others are called where the session is:
// MessageBegun and MessageEnded in the goroutine of the session, the others in one of their
// own, for which the session waits (SessionStarted, SessionCrashed, SessionConflict, RecordKept,
// mostly SessionEnded), or the node (SessionMoved, SessionPromoted, MoveRefused, RequestRefused,
// MemberChanged, NodeChanged, a SessionEnded of a session that was idle). An answer is not
// delayed by MessageEnded or RecordKept. So a function must be quick, must
// not wait for a session or for this node, and may be called concurrently with itself and
// others. If it panics, or calls runtime.Goexit, that is contained, and logged once for each
// function; but RequestBegun and RequestEnded that call runtime.Goexit end the goroutine of
// the request's caller, and a MessageBegun that does is a crash of its session.
//
// Of one session SessionStarted comes before any MessageEnded of a handler, SessionCrashed
// after the MessageEnded of that handler, and SessionEnded after both.
//
// # Contexts
//
// RequestBegun and MessageBegun may return another ctx than they are given, for instance one
// with a span in it. It must be derived from theirs; nil means theirs. That of RequestBegun
// takes the place of the caller's: Config.Inject reads it, so what it holds travels with the
// request, and RequestEnded is given it. That of MessageBegun gives its values to the
// handler's ctx, and MessageEnded is given it; its deadline and its end have no effect. What
// Config.Extract has made of the caller's is in the ctx that MessageBegun is given.
//
// A Trace is copied by Start. One may be given to many nodes. JoinTraces makes one of several.
//
// # Names of metrics
//
// An exporter uses these names, and adds no label that grows with the sessions.
// "Stats" is what LocalStats returns, "Health" what Node.Health does. The last word of a name
// but for "total" is its unit; result is what TraceResult says.
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
//	sessionproc_requests_total                counter    op,kind,forwarded,result  RequestEnded
//	sessionproc_request_seconds               histogram  op,kind,forwarded    RequestEnded.Duration, without "subscribe"
//	sessionproc_request_bytes                 histogram  op,kind              RequestEnded.Size, if Sent > 0
//	sessionproc_forwarded_total               counter    -                    Stats.Forwarded
//	sessionproc_calls_total                   counter    kind,method,result   MessageEnded, Op "call"
//	sessionproc_call_seconds                  histogram  kind,method          MessageEnded.Duration, Op "call"
//	sessionproc_casts_total                   counter    kind,method,result   MessageEnded, Op "cast"
//	sessionproc_cast_seconds                  histogram  kind,method          MessageEnded.Duration, Op "cast"
//	sessionproc_mailbox_wait_seconds          histogram  kind                 MessageEnded.Wait, without Op "start"
//	sessionproc_mailbox_messages              gauge      -                    Stats.Mailbox.Waiting
//	sessionproc_mailbox_sessions              gauge      -                    Stats.Mailbox.Sessions
//	sessionproc_mailbox_deepest_messages      gauge      -                    Stats.Mailbox.Deepest
//	sessionproc_mailbox_oldest_seconds        gauge      -                    Stats.Mailbox.Oldest
//	sessionproc_heap_bytes                    gauge      -                    Stats.Heap, if there is a MemoryMark
//	sessionproc_memory_mark_bytes             gauge      -                    Stats.MemoryMark, if there is one
//	sessionproc_inflight_bytes                gauge      -                    Stats.Inflight
//	sessionproc_refused_total                 counter    op,kind,result       RequestRefused
//	sessionproc_moved_total                   counter    -                    Stats.Moved
//	sessionproc_taken_total                   counter    -                    Stats.Taken
//	sessionproc_move_seconds                  histogram  kind                 SessionMoved.Duration, if not Arrived
//	sessionproc_move_bytes                    histogram  kind                 SessionMoved.Size, if not Arrived
//	sessionproc_moves_refused_total           counter    here                 MoveRefused
//	sessionproc_tasks                         gauge      -                    Stats.Tasks
//	sessionproc_tasks_total                   counter    kind,result          TaskDone
//	sessionproc_task_seconds                  histogram  kind                 TaskDone.Duration
//	sessionproc_tasks_lost_total              counter    -                    Stats.TasksLost
//	sessionproc_copies_merged_total           counter    -                    Stats.Merged
//	sessionproc_conflicts_total               counter    -                    Stats.Conflicts
//	sessionproc_promoted_total                counter    -                    Stats.Promoted
//	sessionproc_quarantined_sessions          gauge      -                    Stats.Quarantined
//	sessionproc_records_total                 counter    -                    Stats.Records
//	sessionproc_record_seconds                histogram  kind                 RecordKept.Duration, if there is no Err
//	sessionproc_record_bytes                  histogram  kind                 RecordKept.Size
//	sessionproc_standbys                      gauge      -                    Stats.Standbys
//	sessionproc_standby_bytes                 gauge      -                    Stats.StandbyBytes
//	sessionproc_replicated_sessions           gauge      -                    Health.Durability.Replicated
//	sessionproc_unprotected_sessions          gauge      -                    Health.Durability.Unprotected
//	sessionproc_recovering_partitions         gauge      -                    Health.Durability.Recovering
//	sessionproc_behind_members                gauge      -                    Health.Durability.Behind, how many
//	sessionproc_members                       gauge      state                Health.Members
//	sessionproc_members_lost_total            counter    -                    Stats.MembersLost
//	sessionproc_lost_sessions_total           counter    -                    Stats.SessionsLost
//	sessionproc_silent_members                gauge      -                    Health.Silent, how many
//	sessionproc_differing_members             gauge      -                    Health.Differing, how many
//	sessionproc_secret_sets                   gauge      -                    Members, how many different KeyIDs
//	sessionproc_ready                         gauge      -                    Health.Ready: 1 if it is ""
//	sessionproc_draining                      gauge      -                    Health.Progress.Draining
//	sessionproc_drain_left_seconds            gauge      -                    Health.Progress.Left
//	sessionproc_partitions                    gauge      holding              Health.Partitions
//	sessionproc_waiting_partitions            gauge      -                    Health.Waiting, the sum
//	sessionproc_misplaced_sessions            gauge      -                    Health.Misplaced
//	sessionproc_ring_share_ratio              gauge      -                    Health.Share
//	sessionproc_gossip_health_score           gauge      -                    Health.GossipScore
//	sessionproc_stalls_total                  counter    -                    Stats.Stalls
//	sessionproc_suppressed_log_lines_total    counter    -                    Stats.Suppressed
//	sessionproc_info                          gauge      version,cluster,slot,zone,wire,ring  Health: 1
type Trace struct {
	// RequestBegun: a request is made on this node. Sent and what follows it are not known yet.
	RequestBegun func(context.Context, TraceRequest) context.Context
	// RequestEnded: a request that was made on this node has its outcome.
	RequestEnded func(context.Context, TraceRequest)
	// MessageBegun: a handler or start function is about to run, on this node. Duration and Err
	// are not known yet.
	MessageBegun func(context.Context, TraceMessage) context.Context
	// MessageEnded: a handler or start function has returned.
	MessageEnded func(context.Context, TraceMessage)
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
	// called on both nodes, at each try. A node that knows beforehand that the owner cannot have sessions of a kind, as
	// it was not given the kind, or has it with a lower schema, sends one of them at most, and none while it drains: of
	// the others it alone is told.
	MoveRefused func(TraceMoveRefused)
	// RecordKept: the changes of a session of this node are at its standbys, or cannot be.
	RecordKept func(TraceRecordKept)

	// MemberChanged: another member has come, changed its state or gone, as this node sees it.
	MemberChanged func(TraceMemberChanged)
	// NodeChanged: this node has become ready or not, drains, has drained, or stood still.
	NodeChanged func(TraceNodeChanged)

	// TaskDone: the work of a task (sessionproc.Go) has returned, on this node, wherever its session is. It is
	// called in a goroutine of its own, for which the result waits.
	TaskDone func(TraceTaskDone)
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

// TraceMessage is a handler or start function that runs, on the owner. A cast by a timer is
// one, too. A call whose key the session knows has the reply that it had before.
type TraceMessage struct {
	Op       string // "call", "cast" or "start"
	Kind     string
	Method   string        // "" for a start
	Peer     string        // the node, slot/boot, that a call or start came from; "": this one, as for all casts
	Size     int           // bytes that the message counted with in the mailbox
	Wait     time.Duration // in the mailbox of this node, for a place there, and of a start for its turn
	Duration time.Duration // of the handler, and of encoding and giving its reply
	// Err is the handler's. ErrCrashed: it panicked. context.Canceled: no handler has run since
	// MessageBegun, as the caller gave up just then.
	Err error
}

// TraceRequestRefused is a request that met a limit, on the owner. It has not run.
type TraceRequestRefused struct {
	Op   string // "call", "cast", "renew", "task", or "start", also for an ensure
	Kind string
	Err  error // ErrOverloaded: it got no place in the mailbox, or not in time; or a *LimitError
}

// TraceRequest is a request, on the node where it is made: a call, cast, start, ensure,
// touch or terminate, whether a session is started, or ("subscribe") one poll of a
// subscription, which lasts until there is news. What StartMany, TerminateMany and
// broadcasts send to another node together is none.
type TraceRequest struct {
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

// TraceMoveRefused is a session that stays where it is, on both nodes, or on its own node if it was not even sent.
type TraceMoveRefused struct {
	Session string // LogID
	Peer    string // slot/boot of the other node
	Here    bool   // this node has refused it
	Cause   string // the same text as in the log
}

// TraceTaskDone is the return of the work of a task, on the node that ran it.
type TraceTaskDone struct {
	Session  string // LogID of the session when it began the task
	Kind     string
	Task     string        // its name, which the program chooses; no label for metrics
	Duration time.Duration // of the work
	Err      error         // of the work; ErrCrashed: it panicked
}

// TraceRecordKept is a record of a session with standbys (sessionproc.KindConfig.Replicas),
// on the owner: what has changed, until its standbys have it or it is known that they cannot.
type TraceRecordKept struct {
	Kind     string
	Size     int           // bytes of the record
	Duration time.Duration // from its encoding until they have answered
	Err      error         // nil: it is at the standbys; else the changes may not survive a crash
}

// TraceMemberChanged is a change of another member, as this node sees it.
type TraceMemberChanged struct {
	Change string // "joined", "changed" (its state), "left", "lost" (taken for dead) or "evicted"
	Name   string // slot/boot
	Addr   string
	State  string // "joining", "serving" or "draining", also as it was before it went
	// Sessions is how many it had, as it last said, some seconds before: those of one that is lost
	// go on where their standbys are, or are lost, too.
	Sessions int
}

// TraceNodeChanged is a change of this node.
type TraceNodeChanged struct {
	Change   string        // "ready", "not ready", "draining", "drained" or "stood still"
	Why      string        // of "not ready": what Node.Ready says
	Sessions int           // that it had when it began to drain; of "drained", that have moved away since Start
	Duration time.Duration // of "drained", since it began to drain; of "stood still", for how long
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
	{sessionproc.ErrTaskLost, "task_lost"},
	{sessionproc.ErrTaskRunning, "task_running"},
	{sessionproc.ErrTooManyTasks, "too_many_tasks"},
	{context.DeadlineExceeded, "deadline_exceeded"},
	{context.Canceled, "canceled"},
}
