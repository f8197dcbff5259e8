package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

type secretKey struct{}

func TestAHandlersCtxHasTheCallersDeadlineAndNoneOfItsValues(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var deadline time.Time
		var has bool
		var value any
		l := newScripted(t, script{do: func(ctx context.Context, _ string) (string, error) {
			deadline, has = ctx.Deadline()
			value = ctx.Value(secretKey{})
			s := sessionproc.FromContext(ctx)
			return s.ID() + " " + s.Kind() + " " + strconv.FormatUint(s.Incarnation().Boot, 10), ctx.Err()
		}})
		l.start(t, "a")
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), secretKey{}, "secret"), time.Minute)
		defer cancel()
		got, err := do.Call(ctx, l, "a", "")
		require.NoError(t, err)
		require.Equal(t, "a scripted 7", got)
		require.True(t, has)
		require.Equal(t, time.Minute, deadline.Sub(begin))
		require.Nil(t, value)
		_, err = do.Call(context.Background(), l, "a", "")
		require.NoError(t, err)
		require.True(t, has)
		require.InDelta(t, 15*time.Second, deadline.Sub(begin), float64(20*time.Millisecond), "CallTimeout")
	})
}

func TestInjectedValueReachesTheHandlersCtx(t *testing.T) {
	var seen any
	s := script{do: func(ctx context.Context, _ string) (string, error) { seen = ctx.Value(secretKey{}); return "", nil }}
	l := newLocalWith(t, func(c *engine.TableConfig) {
		c.Inject = func(ctx context.Context) []byte {
			trace, _ := ctx.Value(secretKey{}).(string)
			return []byte(trace)
		}
		c.Extract = func(ctx context.Context, b []byte) context.Context {
			return context.WithValue(ctx, secretKey{}, "from "+string(b))
		}
	}, s.make())
	l.start(t, "a")
	for _, call := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := do.Call(ctx, l, "a", ""); return err },
		func(ctx context.Context) error {
			return l.Deliver(ctx, "a", engine.Untyped(core.OpCall, "scripted", "do", "", nil))
		},
	} {
		seen = nil
		require.NoError(t, call(context.WithValue(t.Context(), secretKey{}, "trace")))
		require.Equal(t, "from trace", seen)
	}
}

func TestAHandlersCtxEndsWithItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := make(chan error, 1)
		l := newScripted(t, script{do: func(ctx context.Context, r string) (string, error) {
			switch r {
			case "done":
				<-ctx.Done()
			case "err":
				for ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			case "derived":
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				<-child.Done()
			case "after":
				fired := make(chan struct{})
				context.AfterFunc(ctx, func() { close(fired) })
				<-fired
			}
			ended <- ctx.Err()
			time.Sleep(time.Millisecond) // a reply at the deadline itself would be good
			return "", nil
		}})
		l.start(t, "a")
		for _, way := range []string{"done", "err", "derived", "after"} {
			ctx, cancel := context.WithCancel(t.Context())
			call := doing(ctx, l, "a", way)
			time.Sleep(time.Second)
			cancel()
			err := <-call
			require.ErrorIs(t, err, context.Canceled, way)
			require.True(t, sessionproc.MaybeExecuted(err))
			require.ErrorIs(t, <-ended, context.Canceled, way)

			begin := time.Now()
			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			require.ErrorIs(t, <-doing(ctx, l, "a", way), context.DeadlineExceeded, way)
			require.ErrorIs(t, <-ended, context.DeadlineExceeded, way)
			require.Equal(t, time.Second, time.Since(begin))
			cancel()

			begin = time.Now()
			require.ErrorIs(t, <-doing(context.Background(), l, "a", way), context.DeadlineExceeded, way)
			require.ErrorIs(t, <-ended, context.DeadlineExceeded, way)
			require.WithinDuration(t, begin.Add(15*time.Second), time.Now(), 20*time.Millisecond)
		}
	})
}

func TestACallsCtxEndsWhenItsHandlerReturnsAndACastsWithItsSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kept []context.Context
		var fired atomic.Int64
		keep := func(ctx context.Context) {
			kept = append(kept, ctx)
			context.AfterFunc(ctx, func() { fired.Add(1) })
			stop := context.AfterFunc(ctx, func() { fired.Add(100) })
			if !stop() || stop() {
				panic("stop says the wrong thing")
			}
			if ctx.Err() != nil {
				panic("it has ended already")
			}
		}
		l := newScripted(t, script{
			start: func(ctx context.Context, _ string) error { keep(ctx); return nil },
			do:    func(ctx context.Context, _ string) (string, error) { keep(ctx); return "", nil },
			note:  func(ctx context.Context, _ string) error { keep(ctx); return nil },
		})
		l.start(t, "a")
		_, err := do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, note.Cast(t.Context(), l, "a", ""))
		synctest.Wait()
		require.Len(t, kept, 3)
		require.NoError(t, kept[2].Err())
		require.NoError(t, l.Deliver(t.Context(), "a", engine.Untyped(core.OpTerminate, "", "", nil, nil)))
		for _, ctx := range kept {
			require.ErrorIs(t, ctx.Err(), context.Canceled)
			<-ctx.Done()
			late := make(chan struct{})
			context.AfterFunc(ctx, func() { close(late) })
			<-late
		}
		synctest.Wait()
		require.EqualValues(t, 3, fired.Load())
	})
}

// A cast that follows another burst at once must not get a ctx that ends with
// that burst.
func TestTheCtxOfACastLivesWhileItRuns(t *testing.T) {
	l := newScripted(t, script{note: func(ctx context.Context, _ string) error {
		for range 3 {
			runtime.Gosched()
			if ctx.Err() != nil {
				panic("it has ended")
			}
		}
		return nil
	}})
	l.start(t, "a")
	for range 5000 {
		require.NoError(t, note.Cast(t.Context(), l, "a", ""))
		runtime.Gosched()
		if _, err := do.Call(t.Context(), l, "a", ""); err != nil {
			require.NoError(t, err)
		}
	}
}

// Package context starts a goroutine for each child of a foreign ctx, unless
// that has a method AfterFunc.
func TestChildrenOfAHandlersCtxStartNoGoroutine(t *testing.T) {
	l := newScripted(t, script{do: func(ctx context.Context, _ string) (string, error) {
		before := runtime.NumGoroutine()
		for range 100 {
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			if deadline, ok := child.Deadline(); !ok || time.Until(deadline) > time.Minute {
				return "", fmt.Errorf("deadline %v", deadline)
			}
		}
		return strconv.Itoa(runtime.NumGoroutine() - before), nil
	}})
	l.start(t, "a")
	got, err := do.Call(t.Context(), l, "a", "")
	require.NoError(t, err)
	n, err := strconv.Atoi(got)
	require.NoError(t, err)
	require.Less(t, n, 20)
}

// relay calls the sessions that the request names, one after the other.
func relay(ctx context.Context, r string) (string, error) {
	next, rest, _ := strings.Cut(r, " ")
	if next == "" {
		return "end", nil
	}
	return do.Call(ctx, sessionproc.FromContext(ctx).Cluster(), next, rest)
}

func TestCallCyclesAreRefusedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{do: relay})
		l.start(t, "a", "b", "c")
		begin := time.Now()
		for _, path := range []string{"a", "b a", "b c a", "b c b"} {
			_, err := do.Call(t.Context(), l, "a", path)
			require.ErrorContains(t, err, "call cycle: "+sessionproc.LogID("a"), path)
			require.ErrorContains(t, err, "→", path)
		}
		require.Zero(t, time.Since(begin))
		for _, path := range []string{"", "b", "b c"} {
			got, err := do.Call(t.Context(), l, "a", path)
			require.NoError(t, err)
			require.Equal(t, "end", got)
		}
	})
}

// The error that a handler sees is ErrCallCycle, for each kind of request that
// would wait.
func TestEachWaitingRequestInACycleIsErrCallCycle(t *testing.T) {
	errs := map[string]error{}
	l := newScripted(t, script{do: func(ctx context.Context, _ string) (string, error) {
		c := sessionproc.FromContext(ctx).Cluster()
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		_, errs["call"] = do.Call(child, c, "a", "")
		errs["start"] = scripted.Start(ctx, c, "a", "")
		errs["untyped call"] = c.Deliver(ctx, "a", engine.Untyped(core.OpCall, "", "do", "", nil))
		errs["terminate"] = c.Deliver(ctx, "a", engine.Untyped(core.OpTerminate, "", "", nil, nil))
		for name, err := range errs {
			if sessionproc.MaybeExecuted(err) {
				return "", fmt.Errorf("%s: it may have been executed: %w", name, err)
			}
		}
		return "", note.Cast(ctx, c, "a", "a cast waits for nobody")
	}})
	l.start(t, "a")
	_, err := do.Call(t.Context(), l, "a", "")
	require.NoError(t, err)
	require.Len(t, errs, 4)
	for name, err := range errs {
		require.ErrorIs(t, err, sessionproc.ErrCallCycle, name)
	}
}

// A call of a handler wakes for its own reply only, although the messages of calls are used again.
func TestCallsOfHandlersGetTheirOwnReplies(t *testing.T) {
	l := newScripted(t, script{do: func(ctx context.Context, r string) (string, error) {
		if next, rest, found := strings.Cut(r, " "); found {
			return do.Call(ctx, sessionproc.FromContext(ctx).Cluster(), next, rest)
		}
		return r, nil
	}})
	var all sync.WaitGroup
	for g := range 4 {
		ids := names(strconv.Itoa(g)+"s", 8)
		l.start(t, ids...)
		all.Go(func() {
			for i := range 1000 {
				end := strconv.Itoa(i)
				got, err := do.Call(t.Context(), l, ids[0], strings.Join(append(ids[1:len(ids):len(ids)], end), " "))
				if !assert.NoError(t, err) || !assert.Equal(t, end, got) {
					return
				}
			}
		})
	}
	all.Wait()
}

func TestAChainOfMoreThanSixteenIsACycle(t *testing.T) {
	l := newScripted(t, script{do: relay})
	ids := names("s", 17)
	l.start(t, ids...)
	got, err := do.Call(t.Context(), l, ids[0], strings.Join(ids[1:16], " "))
	require.NoError(t, err)
	require.Equal(t, "end", got)
	_, err = do.Call(t.Context(), l, ids[0], strings.Join(ids[1:17], " "))
	require.ErrorContains(t, err, "call cycle: more than 16")
}

// A chain that came from another node counts as well.
func TestChainFromAnotherNodeCountsForCycles(t *testing.T) {
	l := newScripted(t, script{do: func(ctx context.Context, r string) (string, error) {
		chain, err := engine.CallChain(ctx, r)
		return strings.Join(chain, " "), err
	}})
	l.start(t, "a")
	for target, wants := range map[string]error{"x": nil, "far": sessionproc.ErrCallCycle, "a": sessionproc.ErrCallCycle} {
		got := serve(t, l, &engine.Inbound{Op: core.OpCall, ID: "a", Method: "do", Payload: encoded(t, target),
			Chain: []string{"farther", "far"}})
		if wants == nil {
			require.NoError(t, got.err)
			var chain string
			require.NoError(t, core.DecodeValue(got.payload, got.raw, &chain))
			require.Equal(t, "farther far a", chain)
		} else {
			require.ErrorContains(t, got.err, wants.Error())
		}
	}
	chain, err := engine.CallChain(t.Context(), "a")
	require.NoError(t, err)
	require.Empty(t, chain)
}

// A call returns in the moment in which its ctx ends, whether its handler runs or it waits in
// the mailbox, and also if it found the session idle.
func TestACallEndsAtOnceWithItsCtx(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		l := newScripted(t, script{do: func(context.Context, string) (string, error) { <-release; return "", nil }})
		l.start(t, "a")
		ctx, cancel := context.WithCancel(t.Context())
		runs := doing(ctx, l, "a", "")
		synctest.Wait()
		queued := doing(ctx, l, "a", "")
		synctest.Wait()
		cancel()
		synctest.Wait()
		for call, ran := range map[<-chan error]bool{runs: true, queued: false} {
			select {
			case err := <-call:
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, ran, sessionproc.MaybeExecuted(err))
			default:
				t.Fatal("it still waits")
			}
		}
		close(release)
	})
}
