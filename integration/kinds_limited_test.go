package integration_test

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Kinds with a small mailbox: narrow in number, thin in bytes.
var (
	narrow = newTight("narrow")
	thin   = newTight("thin")
)

type tight struct {
	kind  *sessionproc.KindRef[sessionproc.None]
	block *sessionproc.Method[sessionproc.None, sessionproc.None]
	put   *sessionproc.Notice[[]byte]
	hurry *sessionproc.Notice[[]byte] // NoWait
	count *sessionproc.Method[sessionproc.None, int]
	press *sessionproc.Method[sessionproc.None, int] // NoWait
}

func newTight(name string) tight {
	k := sessionproc.KindOf[sessionproc.None](name)
	return tight{
		kind:  k,
		block: sessionproc.MethodOf[sessionproc.None, sessionproc.None](k, "block"),
		put:   sessionproc.NoticeOf[[]byte](k, "put"),
		hurry: sessionproc.NoticeOf[[]byte](k, "hurry"),
		count: sessionproc.MethodOf[sessionproc.None, int](k, "count"),
		press: sessionproc.MethodOf[sessionproc.None, int](k, "press"),
	}
}

type tightState struct {
	ID    string
	Count int
}

func (tokens tight) new(cfg sessionproc.KindConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(tokens.kind, func(ctx context.Context, _ sessionproc.None) (*tightState, error) {
		return &tightState{ID: sessionproc.FromContext(ctx).ID()}, nil
	}, cfg)
	sessionproc.HandleCall(k, tokens.block, func(s *tightState, _ context.Context, _ sessionproc.None) (sessionproc.None,
		error) {
		events.tell(s.ID, "blocked")
		<-events.gate(s.ID)
		return sessionproc.None{}, nil
	})
	put := func(s *tightState, _ context.Context, _ []byte) error { s.Count++; return nil }
	count := func(s *tightState, _ context.Context, _ sessionproc.None) (int, error) { return s.Count, nil }
	sessionproc.HandleCast(k, tokens.put, put)
	sessionproc.HandleCall(k, tokens.count, count)
	sessionproc.HandleCast(k, tokens.hurry, put, sessionproc.MethodConfig{NoWait: true})
	sessionproc.HandleCall(k, tokens.press, count, sessionproc.MethodConfig{NoWait: true})
	return k
}

// Of pairs there are two on a node at most.
var (
	pairs    = sessionproc.KindOf[sessionproc.None]("pair")
	callPair = sessionproc.MethodOf[sessionproc.None, sessionproc.None](pairs, "call")
)

// Idlers end when nobody uses them; peeking is no use.
var (
	idlers    = sessionproc.KindOf[sessionproc.None]("idler")
	useIdler  = sessionproc.MethodOf[sessionproc.None, sessionproc.None](idlers, "use")
	peekIdler = sessionproc.MethodOf[sessionproc.None, sessionproc.None](idlers, "peek")
)

type empty struct{}

func nothing(*empty, context.Context, sessionproc.None) (sessionproc.None, error) {
	return sessionproc.None{}, nil
}

func newPairs() sessionproc.AnyKind {
	k := sessionproc.NewKind(pairs, startsAs[empty], sessionproc.KindConfig{MaxSessions: 2})
	sessionproc.HandleCall(k, callPair, nothing, sessionproc.MethodConfig{StartOnCall: true})
	return k
}

// idleTimeout is how long an idler lives without use; a call that waits for a move
// takes less.
const idleTimeout = 1500 * time.Millisecond

func newIdlers() sessionproc.AnyKind {
	k := sessionproc.NewKind(idlers, startsAs[empty], sessionproc.KindConfig{IdleTimeout: idleTimeout})
	sessionproc.HandleCall(k, useIdler, nothing)
	sessionproc.HandleCall(k, peekIdler, nothing, sessionproc.MethodConfig{NoTouch: true})
	return k
}

// A volunteer starts when it is called, with the zero argument; its number is
// ten more than its argument.
var (
	volunteers = sessionproc.KindOf[int]("volunteer")
	callUp     = sessionproc.MethodOf[sessionproc.None, int](volunteers, "call_up")
	castUp     = sessionproc.NoticeOf[sessionproc.None](volunteers, "cast_up")
	lookUp     = sessionproc.MethodOf[sessionproc.None, int](volunteers, "look_up")
)

func newVolunteers() sessionproc.AnyKind {
	k := sessionproc.NewKind(volunteers, func(_ context.Context, n int) (*counter, error) {
		return &counter{N: n + 10},
			nil
	},
		sessionproc.KindConfig{})
	look := func(c *counter, _ context.Context, _ sessionproc.None) (int, error) { return c.N, nil }
	sessionproc.HandleCall(k, callUp, look, sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleCast(k, castUp, func(c *counter, _ context.Context, _ sessionproc.None) error { c.N++; return nil },
		sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleCall(k, lookUp, look)
	return k
}

// Hoards answer with much, within replyTime after the test has opened the gate
// that the caller names.
var (
	hoards = sessionproc.KindOf[sessionproc.None]("hoard")
	give   = sessionproc.MethodOf[string, []byte](hoards, "give")
	giveUp = sessionproc.MethodOf[int, []byte](hoards, "give_up")
	hoard  = make([]byte, 32<<10)
)

const replyTime = 1500 * time.Millisecond

func newHoards() sessionproc.AnyKind {
	k := sessionproc.NewKind(hoards, startsAs[empty], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, give, func(_ *empty, _ context.Context, gate string) ([]byte, error) {
		events.tell(gate, "asked")
		<-events.gate(gate)
		time.Sleep(rand.N(replyTime))
		return hoard, nil
	})
	sessionproc.HandleCall(k, giveUp, func(_ *empty, _ context.Context, size int) ([]byte,
		error) {
		return make([]byte, size), nil
	})
	return k
}
