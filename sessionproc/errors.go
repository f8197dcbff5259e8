package sessionproc

import (
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// The errors of starts, calls and casts. They are wrapped in an *OpError. Compare with errors.Is,
// which works whether the session lives on this node or on another one.
var (
	// ErrNotFound: no session has that ID.
	ErrNotFound = errors.New("session not found")
	// ErrAlreadyStarted: a session has that ID; its state is untouched.
	ErrAlreadyStarted = core.ErrAlreadyStarted
	// ErrWrongKind: the session is of another kind than the token.
	ErrWrongKind = errors.New("session is of another kind")
	// ErrUnknownKind: the owning node was not given that kind, whether or not a session of that ID
	// exists. During a deploy one of two releases may lack a kind: see "Releases" in the package
	// documentation.
	ErrUnknownKind = errors.New("unknown kind")
	// ErrUnknownMethod: on the owning node the kind has no handler for that method, notice or event,
	// whether or not a session of that ID exists; see ErrUnknownKind.
	ErrUnknownMethod = errors.New("unknown method")
	// ErrBadRequest: the request cannot be decoded into the handler's type, or is too large. No
	// handler has run.
	ErrBadRequest = core.ErrBadRequest
	// ErrBadReply: the reply cannot be decoded into the caller's type, or the handler's reply could
	// not be encoded. The handler has run.
	ErrBadReply = core.ErrBadReply
	// ErrKeyReused: the key of the call (WithKey) was used for another request of that method to the
	// session. The handler did not run.
	ErrKeyReused = core.ErrKeyReused
	// ErrReplied: a call with the key (WithKey) was handled before, and its reply was too large to be
	// kept.
	ErrReplied = errors.New("already replied to")
	// ErrCrashed: a handler or start function panicked, and the session ended or restarted. The text
	// and stack of the panic are in the log of the owning node, under the reference that the error
	// names, and nowhere else.
	ErrCrashed = errors.New("session crashed")
	// ErrTerminated: the session was ended while the request ran or waited.
	ErrTerminated = errors.New("session terminated")
	// ErrOverloaded: a bounded queue is full: the session's mailbox, the line in front of it, or the
	// bytes in flight of a node.
	ErrOverloaded = errors.New("overloaded")
	// ErrTooManySessions: MaxSessions of the kind or of the owning node is reached. The error is a
	// *LimitError.
	ErrTooManySessions = errors.New("too many sessions")
	// ErrRateLimited: StartRate, or the MessageRate or RenewRate of one session, is exceeded. The
	// error is a *LimitError.
	ErrRateLimited = errors.New("rate limited")
	// ErrMemoryMark: the heap of the owning node is above its MemoryMark, so the node starts no
	// sessions. The error is a *LimitError.
	ErrMemoryMark = errors.New("memory mark reached")
	// ErrTooManyTimers: the session has KindConfig.MaxTimers timers. The error is a *LimitError in
	// the handler. If the handler returns it, the caller gets only its text.
	ErrTooManyTimers = errors.New("too many timers")
	// ErrTooManyTasks: the session has KindConfig.MaxTasks tasks, or the node runs node.Config.MaxTasks.
	// The error of Go and GoWith is a *LimitError. If a handler returns it, the caller gets only its text.
	ErrTooManyTasks = errors.New("too many tasks")
	// ErrTaskRunning: a task of that name runs for the session, or its result waits to be handled. It is an
	// error in the handler, as ErrTooManyTasks.
	ErrTaskRunning = errors.New("task already running")
	// ErrTaskLost: a task has no result, because the node that ran it is gone or has forgotten it. The
	// work may have run, wholly or in part; see TaskConfig.Retry.
	ErrTaskLost = errors.New("task lost")
	// ErrRenewed: the session continues under another ID. For 60 s no session can be started under
	// this one.
	ErrRenewed = errors.New("session renewed")
	// ErrCallCycle: the call would wait for itself, or waited for a session whose handler came to
	// wait for the caller's session. The error names the sessions.
	ErrCallCycle = core.ErrCallCycle
	// ErrInvalidID: the session ID is not valid; see ValidID.
	ErrInvalidID = errors.New("invalid session ID")
	// ErrUnavailable: the owner could not be reached before ctx ended, or no member owned the session
	// at that time.
	ErrUnavailable = errors.New("session unavailable")
	// ErrNoQuorum: the owner sees fewer members than the quorum of its cluster, and serves nothing.
	// The request did not run.
	ErrNoQuorum = errors.New("no quorum")
	// ErrUnsupported: the other node's release does not know something that the request depends on.
	ErrUnsupported = core.ErrUnsupported
	// ErrClosed: the node was closed.
	ErrClosed = errors.New("node closed")
)

// OpError is the error of a failed start, call, cast or terminate.
type OpError struct {
	Op     string // "start", "call", "cast", "terminate", "started", "renew", "inspect", "broadcast"
	ID     string // whole; Error prints only LogID(ID); "" of a broadcast
	Kind   string // "" if it is not known
	Method string // of calls and casts
	Err    error
	// MaybeExecuted is false only if certainly no handler or start function ran for the request; see
	// the function MaybeExecuted.
	MaybeExecuted bool
}

// Error returns a text with the operation, the LogID of the session, and the cause.
func (e *OpError) Error() string {
	what := e.Op
	switch {
	case e.Kind != "" && e.Method != "":
		what += " " + e.Kind + "." + e.Method
	case e.Kind != "" || e.Method != "":
		what += " " + e.Kind + e.Method
	}
	if e.ID == "" {
		return fmt.Sprintf("sessionproc: %s: %v", what, e.Err)
	}
	return fmt.Sprintf("sessionproc: %s on session %s: %v", what, core.LogID(e.ID), e.Err)
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// bare returns err without the OpError around it.
func bare(err error) error {
	if op, ok := err.(*OpError); ok {
		return op.Err
	}
	return err
}

// MaybeExecuted reports whether the handler or start function of a failed operation may have run. It
// is exact if the session lives on the caller's node. Otherwise it is true unless the owner has
// answered that nothing ran. It is false for a nil error, and true for errors of other packages.
func MaybeExecuted(err error) bool {
	if err == nil {
		return false
	}
	if op, ok := errors.AsType[*OpError](err); ok {
		return op.MaybeExecuted
	}
	return true
}

// An Error is an error made by NewError: a text, and a code by which errors.Is finds it on every node.
type Error struct {
	Code string // what errors.Is compares
	Text string
}

// NewError returns an error for handlers and start functions to return. Make it once, as a package
// variable: on the caller's node errors.Is finds it by its code. Of other errors only the text
// reaches the caller.
func NewError(code, text string) error { return &Error{Code: code, Text: text} }

// Error returns the text, or "" for a nil e.
func (e *Error) Error() string {
	if e == nil {
		return ""
	}
	return e.Text
}

// Is reports whether target was made by NewError with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && e != nil && t != nil && t.Code == e.Code
}

// A CrashError is an ErrCrashed with the reference under which the owning node has logged the panic.
type CrashError struct{ Reference string }

// Error returns a text with the reference.
func (e *CrashError) Error() string { return "session crashed (reference " + e.Reference + ")" }

// Is reports whether target is ErrCrashed.
func (e *CrashError) Is(target error) bool { return target == ErrCrashed }
