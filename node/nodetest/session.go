package nodetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// SessionConfig sets up the session of a Context. Its zero value works.
type SessionConfig struct {
	// ID is the session's ID. Default "test-session".
	ID string
	// Kind is its kind; timers for notices that it has no handler of panic, as
	// they would on a node. Default none: every notice is taken.
	Kind sessionproc.AnyKind
	// Incarnation tells lives of a session apart. Default 1@1.
	Incarnation sessionproc.Incarnation
	// Cluster is what handlers reach other sessions by: a Cluster's Caller, or a
	// fake (see Reply). Default: Session.Sent has what was sent; casts and
	// starts succeed, and calls fail with ErrUnavailable.
	Cluster sessionproc.Caller
	// Deadline is the caller's. Default none.
	Deadline time.Time
	// Values is what node.Config.Extract would have made of the caller's ctx.
	// Default none.
	Values context.Context
	// Logger is what Session.Logger is made of. Default: the test's output.
	Logger *slog.Logger
}

// Session is what a handler did to its session through its ctx.
type Session struct {
	detached *engine.Detached
	sent     sent
}

// Timer is a timer that a handler has set.
type Timer = engine.DetachedTimer

// Context returns a ctx as handlers and start functions get it: FromContext
// works with it, and timers can be set and tasks begun. No session is behind it: timers do not
// fire, tasks do not run and Stop ends nothing; Session has a record of them. MaxTimers of the Kind, if
// one is given, bounds the timers as on a node. The ctx ends with
// the test. At most one SessionConfig may be given.
//
//	ctx, session := nodetest.Context(t)
//	c, err := newCart(ctx, sessionproc.None{})
//	...
//	require.Equal(t, time.Hour, session.Timers()[0].Delay)
func Context(t testing.TB, cfg ...SessionConfig) (context.Context, *Session) {
	t.Helper()
	if len(cfg) > 1 {
		t.Fatalf("nodetest: Context was given %d SessionConfigs", len(cfg))
	}
	var c SessionConfig
	if len(cfg) == 1 {
		c = cfg[0]
	}
	if c.ID == "" {
		c.ID = "test-session"
	}
	if err := sessionproc.ValidID(c.ID); err != nil {
		t.Fatalf("nodetest: SessionConfig.ID: %v", err)
	}
	if c.Kind != nil {
		if _, err := engine.Contract(c.Kind); err != nil {
			t.Fatalf("nodetest: SessionConfig.Kind: %v", err)
		}
	}
	if c.Incarnation == (sessionproc.Incarnation{}) {
		c.Incarnation = sessionproc.Incarnation{Number: 1, Boot: 1}
	}
	if c.Logger == nil {
		log := &testLog{t: t}
		t.Cleanup(log.close)
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	s := new(Session)
	if c.Cluster == nil {
		c.Cluster = &s.sent
	}
	s.detached = engine.NewDetached(engine.DetachedConfig(c))
	t.Cleanup(s.detached.End)
	return s.detached.Context(), s
}

// Timers returns the timers that were set, in order, cancelled ones included.
// To see what a timer does, call the handler of its notice with its Message.
func (s *Session) Timers() []Timer { return s.detached.Timers() }

// Tasks returns the tasks that were begun, in order, those included that are over or were cancelled. None runs
// by itself: Task.Run runs the work and returns the Result, to call the handler of the notice with it. To
// see what a handler does with another result, make that:
//
//	task := session.Tasks()[0]
//	var r sessionproc.Result[Receipt]
//	require.NoError(t, task.Run(t.Context(), &r)) // or r = sessionproc.Result[Receipt]{Err: ErrDeclined}
//	require.NoError(t, c.paid(ctx, r))
//
// A name is taken until its task has run or was cancelled. KindConfig.MaxTasks of the Kind, if one is
// given, bounds the tasks as on a node.
func (s *Session) Tasks() []Task { return s.detached.Tasks() }

// Labels returns the labels that the session has; nil if it has none.
func (s *Session) Labels() map[string]string { return s.detached.Labels() }

// Stopped returns the reason of the first Stop: "" if Stop was not called, and
// sessionproc.ReasonStopped if it gave none.
func (s *Session) Stopped() sessionproc.Reason { return s.detached.Stopped() }

// End ends the ctx, as when the caller has gone.
func (s *Session) End() { s.detached.End() }

// Sent returns what was sent to other sessions, in order; nothing if the
// SessionConfig named a Cluster.
func (s *Session) Sent() []Sent {
	s.sent.mu.Lock()
	defer s.sent.mu.Unlock()
	return append([]Sent(nil), s.sent.all...)
}

// Sent is a message that a handler sent to another session.
type Sent struct {
	ID     string // "" of a broadcast
	Op     engine.Op
	Kind   string
	Method string // "" of a start

	payload []byte
	raw     bool
}

// Decode reads the message, or a start's argument, into the value that v points to.
func (s Sent) Decode(v any) error {
	if err := engine.DecodeValue(s.payload, s.raw, v); err != nil {
		return fmt.Errorf("nodetest: decode %v %q of kind %q: %w", s.Op, s.Method, s.Kind, err)
	}
	return nil
}

// sent is the Caller that reaches nobody.
type sent struct {
	mu  sync.Mutex
	all []Sent // guarded by mu
}

var errNobody = errors.New("nodetest: nobody answers calls in this Context; see SessionConfig.Cluster")

func (s *sent) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	failed := func(err error) error {
		return &sessionproc.OpError{Op: m.Op().String(), ID: id, Kind: m.Kind(), Method: m.Method(), Err: err}
	}
	if err := sessionproc.ValidID(id); err != nil {
		return failed(err)
	}
	if _, err := engine.CallChain(ctx, id); err != nil && m.Op() != engine.OpCast {
		return failed(err)
	}
	payload, raw, err := m.AppendPayload(nil, 0)
	if err != nil {
		return failed(err)
	}
	s.mu.Lock()
	s.all = append(s.all, Sent{ID: id, Op: m.Op(), Kind: m.Kind(), Method: m.Method(), payload: payload, raw: raw})
	s.mu.Unlock()
	switch m.Op() {
	case engine.OpCast, engine.OpStart, engine.OpEnsure:
		return nil
	}
	return failed(fmt.Errorf("%w: %w", sessionproc.ErrUnavailable, errNobody))
}

// Broadcast reaches nobody.
func (s *sent) Broadcast(_ context.Context, m sessionproc.Message) (sessionproc.Reach, error) {
	payload, raw, err := m.AppendPayload(nil, 0)
	if err != nil {
		return sessionproc.Reach{}, &sessionproc.OpError{Op: "broadcast", Kind: m.Kind(), Method: m.Method(), Err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, Sent{Op: m.Op(), Kind: m.Kind(), Method: m.Method(), payload: payload, raw: raw})
	return sessionproc.Reach{}, nil
}

// Reply answers a call in a Caller of your own:
//
//	func (stock) Deliver(_ context.Context, _ string, m sessionproc.Message) error {
//		return nodetest.Reply(m, Level{Left: 3})
//	}
func Reply(m sessionproc.Message, reply any) error {
	payload, raw, err := engine.EncodeValue(nil, reply)
	if err == nil {
		err = m.ReadReply(payload, raw)
	}
	if err != nil {
		return fmt.Errorf("nodetest: reply to %v %q of kind %q: %w", m.Op(), m.Method(), m.Kind(), err)
	}
	return nil
}
