package sessionproc

import (
	"context"
	"fmt"
	"log/slog"
	"unsafe"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A Session gives a handler or start function access to the session in which it runs. It may be
// kept and used by any goroutine. Once the session has ended, has moved to another node, or
// continues under another ID (node.Node.Renew), the Session reports what the session was, and
// changes nothing any more. The same holds for the ctxs of its handlers: with these Notice.After,
// Every, At and Watch do nothing, and Event.Publish and SetLabel return an error.
type Session struct {
	head core.Head // the only field, so that a *Head is a *Session: see FromContext
}

// FromContext returns the session whose handler, start function, OnEnd, OnMerge or OnArrive was
// given ctx. It panics with any other ctx. To test a handler by itself, give it a ctx made by
// nodetest.Context.
func FromContext(ctx context.Context) *Session {
	return (*Session)(unsafe.Pointer(headOf(ctx)))
}

// headOf is FromContext without the type.
func headOf(ctx context.Context) *core.Head {
	c := core.Calling(ctx)
	if c == nil && core.Running(ctx) != nil {
		panic("sessionproc: FromContext in a task: its work runs outside of the session and cannot touch it; " +
			"return a result, or cast to the session with TaskFromContext")
	}
	if c == nil {
		panic("sessionproc: FromContext outside of a session: ctx is not one that a handler was given; " +
			"in a test use nodetest.Context")
	}
	return c.Head
}

// bound returns the binding of a token of the session's own kind. It panics with the words what and
// the token's name if there is none, and returns nil in a session that has every token.
func bound(h *core.Head, t *core.Token, op core.Op, what string) *core.Binding {
	b := h.Kind.ByName[t.Name]
	if t.Kind == h.Kind.Name && b != nil && b.Op == op {
		return b
	}
	if !h.Host.AnyKind {
		panic(fmt.Sprintf("sessionproc: %s %q of kind %q in a session of kind %q", what, t.Name, t.Kind, h.Kind.Name))
	}
	return nil
}

// ID returns the session's ID.
func (s *Session) ID() string { return s.head.ID }

// Kind returns the name of the session's kind.
func (s *Session) Kind() string { return s.head.Kind.Name }

// An Incarnation identifies one life of a session. Every start begins another one, on whatever node.
// A session that moves keeps its incarnation.
type Incarnation struct {
	Number uint64 // counts the starts of sessions on the node
	Boot   uint64 // identifies one start of the node
}

// String returns both numbers.
func (i Incarnation) String() string { return fmt.Sprintf("%d@%x", i.Number, i.Boot) }

// Incarnation returns which life of the session this is.
func (s *Session) Incarnation() Incarnation {
	number, boot := s.head.Host.Engine.Incarnation(&s.head)
	return Incarnation{number, boot}
}

const maxReason = 256 // bytes

// Stop ends the session when the present handler has returned and its caller has the reply. Queued
// requests get ErrTerminated, and the kind's OnEnd is called with reason. At most 256 bytes of
// reason are kept. An empty reason means ReasonStopped. A session that is on its way to another node
// ends only if it comes back.
func (s *Session) Stop(reason Reason) {
	if reason == "" {
		reason = ReasonStopped
	}
	reason = Reason(clip(string(reason), maxReason))
	s.head.Host.Engine.Stop(&s.head, string(reason))
}

// Save waits until the standbys of the session have its state as it is now, in the midst of a handler: a
// handler calls it before it makes calls, or other effects elsewhere, that must not survive a crash
// which the state does not survive. ctx must be the handler's or come from it, and only the handler's own
// goroutine may call Save. The error says why the state may not survive a crash; the handler goes on
// all the same. Of a kind without KindConfig.Replicas there is nothing to wait for, and Save returns nil.
// A start function, OnEnd, OnMerge and OnArrive cannot save.
func (s *Session) Save(ctx context.Context) error { return s.head.Host.Engine.Save(ctx, &s.head) }

// Cluster returns a Caller for other sessions. Pass it the handler's ctx, which carries the deadline
// and the chain of calls.
func (s *Session) Cluster() Caller {
	c, _ := s.head.Host.Cluster.(Caller)
	return c
}

// Logger returns the node's logger with the session's LogID and kind.
func (s *Session) Logger() *slog.Logger { return s.head.Host.Engine.Logger(&s.head) }
