package core

import (
	"context"
	"log/slog"
	"time"
)

// A Head is what tokens, handlers' ctxs and Session need of a session, whatever runs it. It is the
// first field of the engine's record of a session.
type Head struct {
	ID    string
	Host  *Host
	Kind  *Kind
	State any // used by the session's goroutine only
}

// A Host is what runs sessions: the settings that messages heed, and the engine. Package engine has
// one for each table, and one for each session that no node runs (Detached).
type Host struct {
	MaxMessage int  // bytes of an encoded request or reply
	MaxEvent   int  // bytes of an encoded value of an event
	Cluster    any  // the Caller of Session.Cluster
	AnyKind    bool // its sessions have every notice and event
	Engine     Engine
}

// Fits returns an ErrBadRequest if an encoded request of n bytes is too large.
func (h *Host) Fits(n int) error {
	if n > h.MaxMessage {
		return BadRequest(TooLarge(n, h.MaxMessage))
	}
	return nil
}

// An Engine delivers the messages of tokens to the sessions of one host, and does what handlers ask
// of their session. Its methods are safe for concurrent use.
type Engine interface {
	// Resolve finds the session and the handler for a message of a token, and starts the session if
	// the method says so. ctx is the ctx of the message's caller.
	Resolve(ctx context.Context, part int, id string, tok *Token, op Op) (*Head, *Binding, error)
	// Exchange puts w into the session's mailbox and waits for its outcome. ok means that the
	// handler's result is in the message; otherwise o says why not.
	Exchange(ctx context.Context, h *Head, b *Binding, w *Waiting) (o Outcome, ok bool)
	// PushCast puts the message of a cast into the session's mailbox.
	PushCast(ctx context.Context, h *Head, e *Envelope) error
	// ExchangeStart is Exchange for the start of a session.
	ExchangeStart(ctx context.Context, s *Starter) (o Outcome, ok bool)

	// KeepArgument keeps the encoded argument for the start functions to come.
	KeepArgument(h *Head, payload []byte, raw bool)
	// Started records the result of the start function for w, and answers the caller of w, which finds
	// an error in *into.
	Started(h *Head, w *Waiting, state any, err error, into *error)
	// Answer answers a call of a kind with Kept, whose handler has returned: at once, or when the
	// change is durable. size is how many bytes r keeps meanwhile.
	Answer(h *Head, b *Binding, r Answered, size int32)
	// NotStarted removes a session whose start was given up before it ran.
	NotStarted(h *Head)

	// Incarnation returns the two numbers of the session's incarnation.
	Incarnation(h *Head) (number, boot uint64)
	Stop(h *Head, reason string)
	Labels(h *Head) map[string]string
	SetLabel(h *Head, key, value string) error
	SetTimer(ctx context.Context, h *Head, t TimerRequest) error
	CancelTimer(h *Head, name string) bool
	// BeginTask begins a task, in a handler of the session.
	BeginTask(h *Head, r *TaskRequest) error
	// CancelTask cancels the task of that name, and reports whether there was one.
	CancelTask(h *Head, name string) bool
	Publish(h *Head, b *Binding, payload []byte, raw bool) error
	Watch(ctx context.Context, h *Head, b *Binding, id string)
	Unwatch(h *Head, notice, id string) bool
	Logger(h *Head) *slog.Logger
	// Save waits until the session as it is now is durable. ctx is, or comes from, that of the handler.
	Save(ctx context.Context, h *Head) error
	// Replied returns what the session has replied to a call with the key of c; known: it has. digest is
	// that of the request. An error says why the call can be answered in no way and must not run.
	Replied(c *Ctx, method string, digest uint64) (r Reply, known bool, err error)
	// KeepReply keeps the reply to the call that c is the ctx of, or the error of its handler.
	KeepReply(c *Ctx, method string, digest uint64, r Reply)
	// RepliedBefore is Replied in any goroutine, for a session that goes on under another ID.
	RepliedBefore(h *Head, o *Once, method string, digest uint64) (r Reply, known bool)
	// RanFor adds to err, the end of c, how long the handler had run.
	RanFor(c *Ctx, err error) error
}

// A Reply is what a handler has replied.
type Reply struct {
	Payload []byte
	Raw     bool
	Err     error
}

// A TimerRequest is what Notice.After and its siblings ask of their session.
type TimerRequest struct {
	Name    string // "" without a name
	Notice  string
	Bound   *Binding
	Message timerMessage
	Raw     bool
	Delay   time.Duration
	Again   bool  // each Delay
	At      int64 // the wall time, in ns since 1970, in place of Delay; 0: none
}

// A timerMessage is the message of a timer.
type timerMessage interface {
	// Encode encodes it. The result may be sent many times.
	Encode(most int) ([]byte, error)
	// Decode returns a copy, of the notice's type.
	Decode(payload []byte) (any, error)
}
