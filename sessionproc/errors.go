package sessionproc

import (
	"context"
	"errors"
	"fmt"
)

// Errors of starts, calls and casts. They arrive inside an *OpError; compare
// with errors.Is, which works whether the session lives here or on another
// node.
var (
	// ErrNotFound: no session has that ID.
	ErrNotFound = errors.New("session not found")
	// ErrAlreadyStarted: a session has that ID; its state is untouched.
	ErrAlreadyStarted = errors.New("session already started")
	// ErrWrongKind: the session is of another kind than the token used.
	ErrWrongKind = errors.New("session is of another kind")
	// ErrUnknownKind: the owning node was not given that kind, whether or not there
	// is a session of that ID. While two releases work beside each other only one of
	// them may have it: see "Releases" in the package documentation.
	ErrUnknownKind = errors.New("unknown kind")
	// ErrUnknownMethod: the session's kind has no handler of that name (of a method,
	// notice or event) at the owning node, whether or not there is a session of that
	// ID; see ErrUnknownKind.
	ErrUnknownMethod = errors.New("unknown method")
	// ErrBadRequest: the request does not decode into the handler's type. The
	// session lives on unchanged.
	ErrBadRequest = errors.New("bad request")
	// ErrBadReply: the reply does not decode into the caller's type, or the
	// handler's reply could not be encoded. The handler has run.
	ErrBadReply = errors.New("bad reply")
	// ErrCrashed: a handler or start function panicked, and the session ended.
	// The text and stack of the panic are in the log of the owning node under
	// the reference that the error names, and nowhere else.
	ErrCrashed = errors.New("session crashed")
	// ErrTerminated: the session was ended while the request ran or waited.
	ErrTerminated = errors.New("session terminated")
	// ErrOverloaded: a bounded queue is full: the session's mailbox, the bytes
	// in flight of a node, or the waiters for a full mailbox.
	ErrOverloaded = errors.New("overloaded")
	// ErrTooManySessions: MaxSessions of the kind or of the owning node is reached;
	// the error is a *LimitError, as the next two are.
	ErrTooManySessions = errors.New("too many sessions")
	// ErrRateLimited: more starts, or messages to one session, than its StartRate or
	// MessageRate allows.
	ErrRateLimited = errors.New("rate limited")
	// ErrMemoryMark: the heap of the owning node is above its MemoryMark, so that it
	// starts no sessions.
	ErrMemoryMark = errors.New("memory mark reached")
	// ErrTooManyTimers: the session has MaxTimers timers, so that its handler cannot set
	// another one; a *LimitError. A caller that the handler returns it to gets its text.
	ErrTooManyTimers = errors.New("too many timers")
	// ErrRenewed: the session goes on under another ID. Nothing can be started
	// under this one for 60 s.
	ErrRenewed = errors.New("session renewed")
	// ErrCallCycle: the call would wait for itself; the error names the cycle. Also: it
	// waited for a session whose handler has come to wait for the caller's.
	ErrCallCycle = errors.New("call cycle")
	// ErrInvalidID: see ValidID.
	ErrInvalidID = errors.New("invalid session ID")
	// ErrUnavailable: the owner could not be reached before ctx ended, or no
	// member owns the session at this moment.
	ErrUnavailable = errors.New("session unavailable")
	// ErrNoQuorum: the owner sees fewer members than its cluster's quorum and
	// answers nothing. The request surely did not run.
	ErrNoQuorum = errors.New("no quorum")
	// ErrUnsupported: the peer is of another release and does not know
	// something that the request depends on.
	ErrUnsupported = errors.New("not supported by the peer's release")
	// ErrClosed: the node was closed.
	ErrClosed = errors.New("node closed")
)

// OpError is the error of a failed start, call, cast or terminate.
type OpError struct {
	Op     string // "start", "call", "cast", "terminate", "started", "renew", "inspect", "broadcast"
	ID     string // whole; Error prints only LogID(ID); "" of a broadcast
	Kind   string // as far as it is known
	Method string // of calls and casts
	Err    error
	// MaybeExecuted is false only if it is certain that no handler or start
	// function ran for the request; see the function of that name.
	MaybeExecuted bool
}

// Error names the operation, the session by its LogID, and the cause.
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
	return fmt.Sprintf("sessionproc: %s on session %s: %v", what, LogID(e.ID), e.Err)
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// bare is err without the OpError around it.
func bare(err error) error {
	if op, ok := err.(*OpError); ok {
		return op.Err
	}
	return err
}

// MaybeExecuted reports whether the handler or start function of a failed
// operation may have run. It is exact on the session's own node; from another
// node it is true unless the owner's word that nothing ran has come. It is
// false for nil and true for errors that are not of this library.
func MaybeExecuted(err error) bool {
	if err == nil {
		return false
	}
	if op, ok := errors.AsType[*OpError](err); ok {
		return op.MaybeExecuted
	}
	return true
}

// Error is an error made by NewError: a code that survives the wire, and a
// text.
type Error struct {
	Code string // what errors.Is compares
	Text string
}

// NewError makes an error for handlers and start functions to return. Make it
// once, as a package variable: errors.Is finds it on the caller's side after
// any number of nodes, by its code. Other errors arrive as their text only.
func NewError(code, text string) error { return &Error{Code: code, Text: text} }

// Error returns the text; of nil it is empty.
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

// CrashError is an ErrCrashed with the reference under which the owning node
// has logged the panic.
type CrashError struct{ Reference string }

// Error names the reference.
func (e *CrashError) Error() string { return "session crashed (reference " + e.Reference + ")" }

// Is reports whether target is ErrCrashed.
func (e *CrashError) Is(target error) bool { return target == ErrCrashed }

// outcome is how a message ended that did not get its handler's reply.
type outcome struct {
	err   error
	maybe bool // the handler may have run
}

// ctxOutcome turns the end of a ctx into an outcome.
func ctxOutcome(ctx context.Context, maybe bool) outcome {
	return outcome{err: ctx.Err(), maybe: maybe}
}
