package node_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

var (
	traced     = sessionproc.KindOf[time.Duration]("traced") // a start takes so long
	tracedWork = sessionproc.MethodOf[time.Duration, int](traced, "work")
	tracedFail = sessionproc.MethodOf[string, int](traced, "fail")
	tracedNote = sessionproc.NoticeOf[time.Duration](traced, "note")
)

var errBroke = errors.New("it broke")

type tracedState struct{ N int }

func newTraced() sessionproc.AnyKind {
	k := sessionproc.NewKind(traced, func(_ context.Context, d time.Duration) (*tracedState, error) {
		if d < 0 {
			return nil, errBroke
		}
		time.Sleep(d)
		return new(tracedState), nil
	}, sessionproc.KindConfig{Mailbox: 2, MaxSessions: 2, IdleTimeout: time.Minute})
	sessionproc.HandleCall(k, tracedWork, func(s *tracedState, _ context.Context, d time.Duration) (int, error) {
		time.Sleep(d)
		s.N++
		return s.N, nil
	})
	sessionproc.HandleCall(k, tracedFail, func(_ *tracedState, _ context.Context, how string) (int, error) {
		if how == "panic" {
			panic(how)
		}
		return 0, errBroke
	})
	sessionproc.HandleCast(k, tracedNote, func(_ *tracedState, _ context.Context, d time.Duration) error {
		time.Sleep(d)
		return nil
	})
	return k
}

// book holds what a node's Trace was told.
type book struct {
	mu  sync.Mutex
	all []any
}

func keep[Info any](b *book) func(Info) {
	return func(i Info) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.all = append(b.all, i)
	}
}

// take returns what came since the last take.
func (b *book) take() []any {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all
	b.all = nil
	return all
}

func keepEnded[Info any](b *book) func(context.Context, Info) {
	return func(_ context.Context, i Info) { keep[Info](b)(i) }
}

func (b *book) trace() *node.Trace {
	return &node.Trace{
		RequestEnded: keepEnded[node.TraceRequest](b), MessageEnded: keepEnded[node.TraceMessage](b),
		RequestRefused: keep[node.TraceRequestRefused](b),
		SessionStarted: keep[node.TraceSessionStarted](b), SessionEnded: keep[node.TraceSessionEnded](b),
		SessionCrashed:  keep[node.TraceSessionCrashed](b),
		SessionConflict: keep[node.TraceSessionConflict](b), SessionMoved: keep[node.TraceSessionMoved](b),
		MoveRefused: keep[node.TraceMoveRefused](b),
	}
}

// of returns the only one of a type.
func of[Info any](t *testing.T, all []any) (only Info) {
	t.Helper()
	n := 0
	for _, i := range all {
		if i, ok := i.(Info); ok {
			only = i
			n++
		}
	}
	require.Equal(t, 1, n, "%T in %+v", only, all)
	return only
}

// tracedNodes is a simulated cluster and the book of each node.
func tracedNodes(t *testing.T, n int) (*nodetest.Cluster, []*book) {
	books := make([]*book, n+1)
	for i := range books {
		books[i] = new(book)
	}
	return tuned(t, n, func(i int, cfg *node.Config) { cfg.Trace = books[i].trace() }, newTraced), books
}

// The owner is told of starts, handlers and ends, the caller's node of its requests, wherever the caller is.
func TestTraceTellsOwnerAndCallerTheirParts(t *testing.T) {
	for _, row := range []struct {
		name   string
		caller int
	}{{"owner", 0}, {"remote", 1}} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, books := tracedNodes(t, 2)
				owner, there, n, ctx := books[0], books[row.caller], c.Node(row.caller), t.Context()
				id := ownedBy(c, 0, "very-secret-session-")
				sent := 0
				if row.caller != 0 {
					sent = 1
				}
				done := func(all []any, op engine.Op, method string, least time.Duration) node.TraceRequest {
					d := of[node.TraceRequest](t, all)
					require.Equal(t, op.String(), d.Op)
					require.Equal(t, "traced", d.Kind)
					require.Equal(t, method, d.Method)
					require.Equal(t, sent, d.Sent)
					require.Equal(t, sent > 0, d.Peer == c.Node(0).Addr() && d.Size > 0)
					require.GreaterOrEqual(t, d.Duration, least)
					return d
				}
				take := func() (onOwner, atCaller []any) {
					onOwner = owner.take()
					if there == owner {
						return onOwner, onOwner
					}
					return onOwner, there.take()
				}
				take()

				require.NoError(t, traced.Start(ctx, n, id, 10*time.Millisecond))
				all, made := take()
				require.Equal(t, node.TraceSessionStarted{Session: sessionproc.LogID(id), Kind: "traced",
					Duration: 10 * time.Millisecond}, of[node.TraceSessionStarted](t, all))
				require.NoError(t, done(made, engine.OpStart, "", 10*time.Millisecond).Err)

				require.NoError(t, tracedNote.Cast(ctx, n, id, 30*time.Millisecond))
				_, made = take()
				require.NoError(t, done(made, engine.OpCast, "note", 0).Err)
				_, err := tracedWork.Call(ctx, n, id, 20*time.Millisecond)
				require.NoError(t, err)
				all, made = take()
				d := done(made, engine.OpCall, "work", 20*time.Millisecond)
				require.False(t, d.MaybeExecuted)
				var handled []node.TraceMessage
				for _, i := range all {
					if h, ok := i.(node.TraceMessage); ok {
						handled = append(handled, h)
					}
				}
				require.Len(t, handled, 2)
				require.Equal(t, "note", handled[0].Method)
				require.Equal(t, "cast", handled[0].Op)
				require.Zero(t, handled[0].Wait)
				require.Equal(t, 30*time.Millisecond, handled[0].Duration)
				require.Equal(t, "work", handled[1].Method)
				require.Equal(t, "call", handled[1].Op)
				require.InDelta(t, 30*time.Millisecond, handled[1].Wait, float64(5*time.Millisecond))
				require.Equal(t, 20*time.Millisecond, handled[1].Duration)
				require.GreaterOrEqual(t, d.Duration, handled[1].Wait+handled[1].Duration)

				_, err = tracedFail.Call(ctx, n, id, "error")
				require.Error(t, err)
				all, made = take()
				require.EqualError(t, of[node.TraceMessage](t, all).Err, errBroke.Error())
				d = done(made, engine.OpCall, "fail", 0)
				require.EqualError(t, d.Err, errBroke.Error())
				require.True(t, d.MaybeExecuted)

				time.Sleep(2 * time.Minute)
				all, _ = take()
				ended := of[node.TraceSessionEnded](t, all)
				require.Equal(t, sessionproc.ReasonExpired, ended.Reason)
				require.Equal(t, sessionproc.LogID(id), ended.Session)
				require.InDelta(t, time.Minute, ended.Lived, float64(2*time.Second))

				require.Error(t, traced.Start(ctx, n, id, -1))
				all, made = take()
				require.EqualError(t, of[node.TraceSessionStarted](t, all).Err, errBroke.Error())
				done(made, engine.OpStart, "", 0)

				require.NoError(t, traced.Start(ctx, n, id, 0))
				take()
				_, err = tracedFail.Call(ctx, n, id, "panic")
				crash, ok := errors.AsType[*sessionproc.CrashError](err)
				require.True(t, ok)
				all, made = take()
				require.Equal(t, node.TraceSessionCrashed{Session: sessionproc.LogID(id), Kind: "traced",
					Reference: crash.Reference}, of[node.TraceSessionCrashed](t, all))
				require.ErrorIs(t, of[node.TraceMessage](t, all).Err, sessionproc.ErrCrashed)
				require.Equal(t, sessionproc.ReasonCrashed, of[node.TraceSessionEnded](t, all).Reason)
				require.Equal(t, "crashed", node.TraceResult(done(made, engine.OpCall, "fail", 0).Err))
			})
		})
	}
}

// What meets a limit is reported on the owner.
func TestTraceTellsTheOwnerOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, books := tracedNodes(t, 1)
		n, ctx := c.Node(0), t.Context()
		require.NoError(t, traced.Start(ctx, n, "a", 0))
		require.NoError(t, traced.Start(ctx, n, "b", 0))
		books[0].take()
		require.ErrorIs(t, traced.Start(ctx, n, "c", 0), sessionproc.ErrTooManySessions)
		refused := of[node.TraceRequestRefused](t, books[0].take())
		require.Equal(t, "start", refused.Op)
		require.Equal(t, "traced", refused.Kind)
		require.Equal(t, "too_many_sessions", node.TraceResult(refused.Err))
		require.NoError(t, tracedNote.Cast(ctx, n, "a", time.Second))
		synctest.Wait()
		require.NoError(t, tracedNote.Cast(ctx, n, "a", 0))
		require.NoError(t, tracedNote.Cast(ctx, n, "a", 0))
		require.ErrorIs(t, tracedNote.Cast(ctx, n, "a", 0), sessionproc.ErrOverloaded)
		require.Equal(t, node.TraceRequestRefused{Op: "cast", Kind: "traced", Err: sessionproc.ErrOverloaded},
			of[node.TraceRequestRefused](t, books[0].take()))
	})
}

// Both nodes are told of a move, and the new one of all that comes after it. Nobody is told an ID.
func TestTraceTellsBothNodesOfAMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, books := tracedNodes(t, 2)
		ctx, id := t.Context(), ownedBy(c, 0, "very-secret-session-")
		require.NoError(t, traced.Start(ctx, c.Node(0), id, 0))
		_, err := tracedWork.Call(ctx, c.Node(1), id, 0)
		require.NoError(t, err)
		before := append(books[0].take(), books[1].take()...)
		from, to := c.Node(0).Name(), c.Node(1).Name()
		require.NoError(t, c.Node(0).Drain(ctx))
		source, target := books[0].take(), books[1].take()
		gone, come := of[node.TraceSessionMoved](t, source), of[node.TraceSessionMoved](t, target)
		require.Positive(t, gone.Duration)
		require.Positive(t, gone.Size)
		require.Equal(t, node.TraceSessionMoved{Session: sessionproc.LogID(id), Kind: "traced", Peer: to, Size: gone.Size,
			Duration: gone.Duration}, gone)
		require.Equal(t, node.TraceSessionMoved{Session: sessionproc.LogID(id), Kind: "traced", Peer: from, Arrived: true,
			Size: gone.Size}, come)
		for _, i := range append(source, target...) {
			require.NotContains(t, []string{"node.TraceSessionEnded", "node.TraceSessionStarted"}, fmt.Sprintf("%T", i))
		}
		got, err := tracedWork.Call(ctx, c.Node(0), id, 0)
		require.NoError(t, err)
		require.Equal(t, 2, got)
		source, target = append(source, books[0].take()...), append(target, books[1].take()...)
		require.Equal(t, 1, of[node.TraceRequest](t, source).Sent)
		require.Equal(t, "work", of[node.TraceMessage](t, target).Method)
		require.NoError(t, c.Node(1).Terminate(ctx, id))
		last := books[1].take()
		require.Equal(t, sessionproc.ReasonTerminated, of[node.TraceSessionEnded](t, last).Reason)
		for _, all := range [][]any{before, source, target, last} {
			require.NotContains(t, fmt.Sprintf("%+v", all), id)
		}
	})
}

// A session that its owner refuses stays, both nodes are told why, and each of them can explain it. Of one that the
// owner cannot have by what its node knows of its release, and that is therefore not sent, its node alone is told.
func TestTraceTellsOfARefusedMoveAndItIsExplained(t *testing.T) {
	for name, c := range map[string]refusedMove{
		"not given the kind": {without: true, cause: "other", unsent: true},
		"schema too low":     {schema: 2, cause: "schema 0, this node 2", unsent: true},
		"node full":          {most: 1, cause: "Config.MaxSessions"},
		"kind full":          {mostOfKind: 1, cause: "KindConfig.MaxSessions"},
		"memory":             {mark: 100, cause: "MemoryMark"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, c.run)
		})
	}
}

// A refusedMove is the move of a session of node 0 that node 1 does not take.
type refusedMove struct {
	without          bool // node 1 lacks the kind
	schema           int  // at node 0
	most, mostOfKind int  // at node 1, which has one
	mark             int64
	cause            string
	unsent           bool // node 0 knows that beforehand
}

func (r refusedMove) run(t *testing.T) {
	books := []*book{new(book), new(book)}
	other := sessionproc.KindOf[sessionproc.None]("other")
	begin := startsAs[tracedState]
	var heap atomic.Int64
	c := tuned(t, 2, func(i int, cfg *node.Config) {
		kind := sessionproc.KindConfig{Schema: r.schema}
		if i == 1 {
			kind = sessionproc.KindConfig{MaxSessions: r.mostOfKind}
			cfg.MaxSessions, cfg.MemoryMark = r.most, r.mark
			cfg.UseHeap(heap.Load)
		}
		if cfg.Trace = books[i].trace(); i == 0 || !r.without {
			cfg.Kinds = append(cfg.Kinds, sessionproc.NewKind(other, begin, kind))
		}
	}, newTraced)
	if r.most+r.mostOfKind > 0 {
		theirs := ownedBy(c, 1, "very-secret-session-")
		require.NoError(t, other.Start(t.Context(), c.Node(1), theirs, sessionproc.None{}))
	}
	id := ownedBy(c, 0, "very-secret-session-")
	require.NoError(t, other.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
	require.Empty(t, explained(t, c.Node(1), id).Refused)
	heap.Store(101)
	time.Sleep(2 * time.Second)
	ctx := lasting(t, 3*time.Second)
	require.Error(t, c.Node(0).Drain(ctx))
	for i, b := range books {
		var refused node.TraceMoveRefused
		for _, info := range b.take() {
			if r, ok := info.(node.TraceMoveRefused); ok {
				refused = r
			}
		}
		e := explained(t, c.Node(i), id)
		require.Equal(t, c.Node(0).Name(), e.Node)
		require.Len(t, e.Refused, 1)
		require.Contains(t, e.Refused[c.Node(1).Name()], r.cause)
		require.Contains(t, e.String(), c.Node(1).Name()+" does not take it over: ")
		if i == 1 && r.unsent {
			require.Zero(t, refused)
			continue
		}
		require.Equal(t, node.TraceMoveRefused{Session: sessionproc.LogID(id), Peer: c.Node(1 - i).Name(), Here: i == 1,
			Cause: refused.Cause}, refused)
		require.Contains(t, refused.Cause, r.cause)
		require.Contains(t, refused.Cause, e.Refused[c.Node(1).Name()])
	}
}

func TestTraceResultNamesEachError(t *testing.T) {
	require.Equal(t, "ok", node.TraceResult(nil))
	require.Equal(t, "error", node.TraceResult(errBroke))
	require.Equal(t, "error", node.TraceResult(sessionproc.NewError("code", "text")))
	require.Equal(t, "not_found", node.TraceResult(fmt.Errorf("wrapped: %w", sessionproc.ErrNotFound)))
	require.Equal(t, "deadline_exceeded", node.TraceResult(context.DeadlineExceeded))
}
