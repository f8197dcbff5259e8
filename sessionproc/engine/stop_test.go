package engine_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// ends collects what Terminate methods were told.
type ends struct {
	mu  sync.Mutex
	all map[string][]sessionproc.Reason
}

func (e *ends) note(ctx context.Context, reason sessionproc.Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string][]sessionproc.Reason{}
	}
	id := sessionproc.FromContext(ctx).ID()
	e.all[id] = append(e.all[id], reason)
}

func (e *ends) of(id string) []sessionproc.Reason {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[id]
}

func terminating(ctx context.Context, l *local, id string) <-chan error {
	done := make(chan error, 1)
	go func() { done <- l.terminate(ctx, id) }()
	return done
}

func TestTerminateEndsAnIdleSession(t *testing.T) {
	var told ends
	l := newLocal(t, script{end: told.note}.make(), newCounters())
	l.start(t, "a")
	require.NoError(t, counters.Start(t.Context(), l, "b", 1)) // without a Terminate method
	for _, id := range []string{"a", "b"} {
		require.NoError(t, l.terminate(t.Context(), id))
		require.False(t, l.started(t, id))
		err := l.terminate(t.Context(), id)
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		require.False(t, sessionproc.MaybeExecuted(err))
	}
	require.Equal(t, []sessionproc.Reason{sessionproc.ReasonTerminated}, told.of("a"))
	requireNothingLeft(t, l)
}

// One call runs and three wait: all get ErrTerminated at once, and the handler's
// ctx ends.
func TestTerminateAnswersRunningAndQueuedCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		l := newScripted(t, script{end: told.note, do: func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			time.Sleep(300 * time.Millisecond)
			return "", ctx.Err()
		}})
		l.start(t, "a")
		calls := []<-chan error{doing(t.Context(), l, "a", "")}
		synctest.Wait()
		for range 3 {
			calls = append(calls, doing(t.Context(), l, "a", ""))
			synctest.Wait()
		}
		require.NoError(t, note.Cast(t.Context(), l, "a", ""))
		begin := time.Now()
		first := terminating(t.Context(), l, "a")
		synctest.Wait()
		second := terminating(t.Context(), l, "a")
		for i, done := range calls {
			err := <-done
			require.ErrorIs(t, err, sessionproc.ErrTerminated)
			require.Equal(t, i == 0, sessionproc.MaybeExecuted(err))
		}
		require.ErrorIs(t, <-second, sessionproc.ErrNotFound)
		require.Zero(t, time.Since(begin))
		require.False(t, l.started(t, "a"))
		require.ErrorIs(t, note.Cast(t.Context(), l, "a", ""), sessionproc.ErrNotFound)
		require.NoError(t, <-first)
		require.Equal(t, 300*time.Millisecond, time.Since(begin))
		require.Equal(t, []sessionproc.Reason{sessionproc.ReasonTerminated}, told.of("a"))
	})
}

// A cast's handler has its ctx ended too.
func TestTerminateEndsTheCtxOfACast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{note: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }})
		l.start(t, "a")
		require.NoError(t, note.Cast(t.Context(), l, "a", ""))
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, l.terminate(t.Context(), "a"))
		require.Zero(t, time.Since(begin))
	})
}

// The same when Terminate meets the cast on its way to the handler.
func TestTerminateEndsTheCtxOfACastUnderRace(t *testing.T) {
	l := newLocalWith(t, func(c *engine.TableConfig) { c.StopTimeout = time.Minute },
		script{note: func(ctx context.Context, _ string) error { <-ctx.Done(); return nil }}.make())
	for range 2000 {
		l.start(t, "a")
		sent := make(chan struct{})
		go func() { defer close(sent); _ = note.Cast(context.Background(), l, "a", "") }()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		require.NoError(t, l.terminate(ctx, "a"))
		cancel()
		<-sent
	}
}

func TestTerminateEndsAStartingSession(t *testing.T) {
	for _, fails := range []error{nil, errNoStock} {
		bubble(t, func(t *testing.T) {
			var told ends
			l := newScripted(t, script{end: told.note, start: func(ctx context.Context, arg string) error {
				if arg == "slow" {
					<-ctx.Done()
					time.Sleep(100 * time.Millisecond)
					return fails
				}
				return nil
			}})
			begin := time.Now()
			start := starting(t.Context(), l, "slow")
			synctest.Wait()
			call := doing(t.Context(), l, "slow", "")
			synctest.Wait()
			stop := terminating(t.Context(), l, "slow")
			synctest.Wait()
			next := make(chan error, 1)
			go func() { next <- scripted.Start(t.Context(), l, "slow", "quick") }()
			err := <-start
			require.ErrorIs(t, err, sessionproc.ErrTerminated)
			require.True(t, sessionproc.MaybeExecuted(err))
			require.ErrorIs(t, <-call, sessionproc.ErrTerminated)
			require.Zero(t, time.Since(begin))
			require.NoError(t, <-stop)
			require.Equal(t, 100*time.Millisecond, time.Since(begin))
			require.NoError(t, <-next, "it waits until the first has gone")
			if fails == nil {
				require.Equal(t, []sessionproc.Reason{sessionproc.ReasonTerminated}, told.of("slow"))
			} else {
				require.Empty(t, told.of("slow"), "it never lived")
			}
		})
	}
}

func TestTerminateEndsAQueuedStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		ran := map[string]bool{}
		s := script{start: func(_ context.Context, arg string) error { ran[arg] = true; <-gate; return nil }}
		l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = 1 }, s.make())
		first := starting(t.Context(), l, "first")
		synctest.Wait()
		queued := starting(t.Context(), l, "queued")
		synctest.Wait()
		begin := time.Now()
		stop := terminating(t.Context(), l, "queued")
		err := <-queued
		require.ErrorIs(t, err, sessionproc.ErrTerminated)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.Zero(t, time.Since(begin))
		close(gate)
		require.NoError(t, <-stop)
		require.NoError(t, <-first)
		require.False(t, ran["queued"])
		require.Equal(t, 1, l.table.Len())
	})
}

// Stop in a handler: its reply is delivered, what is queued is not run.
func TestStopInAHandlerRepliesAndDropsTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		gate := make(chan struct{})
		l := newScripted(t, script{end: told.note, do: func(ctx context.Context, r string) (string, error) {
			sessionproc.FromContext(ctx).Stop(sessionproc.Reason(r))
			sessionproc.FromContext(ctx).Stop("the first reason holds")
			<-gate
			return "bye", nil
		}})
		for _, r := range []string{"", "checked out"} {
			l.start(t, "a")
			var reply string
			first := make(chan error, 1)
			go func() { var err error; reply, err = do.Call(t.Context(), l, "a", r); first <- err }()
			synctest.Wait()
			queued, restart := doing(t.Context(), l, "a", r), starting(t.Context(), l, "a")
			synctest.Wait()
			gate <- struct{}{}
			require.NoError(t, <-first)
			require.Equal(t, "bye", reply)
			err := <-queued
			require.ErrorIs(t, err, sessionproc.ErrTerminated)
			require.False(t, sessionproc.MaybeExecuted(err))
			require.NoError(t, <-restart, "it waits until the first has gone")
			require.NoError(t, l.terminate(t.Context(), "a"))
		}
		require.Equal(t, []sessionproc.Reason{sessionproc.ReasonStopped, sessionproc.ReasonTerminated, "checked out",
			sessionproc.ReasonTerminated}, told.of("a"))
	})
}

func TestStopInAStartFunctionEndsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		l := newScripted(t, script{end: told.note, start: func(ctx context.Context, _ string) error {
			sessionproc.FromContext(ctx).Stop("not needed")
			return nil
		}})
		l.start(t, "a")
		synctest.Wait()
		require.False(t, l.started(t, "a"))
		require.Equal(t, []sessionproc.Reason{"not needed"}, told.of("a"))
		requireNothingLeft(t, l)
	})
}

func TestStopByAGoroutineLeftBehindEndsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		l := newScripted(t, script{end: told.note, do: func(ctx context.Context, _ string) (string, error) {
			s := sessionproc.FromContext(ctx)
			time.AfterFunc(time.Second, func() { s.Stop("later") })
			return "", nil
		}})
		l.start(t, "a")
		_, err := do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		_, err = do.Call(t.Context(), l, "a", "") // its Stop meets a session that has gone
		require.NoError(t, err)
		time.Sleep(999 * time.Millisecond)
		require.True(t, l.started(t, "a"))
		time.Sleep(2 * time.Millisecond)
		require.False(t, l.started(t, "a"))
		require.Equal(t, []sessionproc.Reason{"later"}, told.of("a"))
		requireNothingLeft(t, l)
	})
}

// A handler that has called Stop and does not return can still be terminated
// and closed: its ctx ends.
func TestTerminateAfterStopStillEndsTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		l := newScripted(t, script{end: told.note, do: func(ctx context.Context, _ string) (string, error) {
			sessionproc.FromContext(ctx).Stop("mine")
			<-ctx.Done()
			return "", ctx.Err()
		}})
		l.start(t, "a", "b")
		a, b := doing(t.Context(), l, "a", ""), doing(t.Context(), l, "b", "")
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, l.terminate(t.Context(), "a"))
		require.ErrorIs(t, <-a, sessionproc.ErrTerminated)
		require.NoError(t, l.table.Close(t.Context()))
		require.ErrorIs(t, <-b, sessionproc.ErrClosed)
		require.Zero(t, time.Since(begin))
		require.Equal(t, []sessionproc.Reason{"mine"}, told.of("a"))
		require.Empty(t, told.of("b"), "Close calls no Terminate")
	})
}

func TestPanicInOnEndIsContained(t *testing.T) {
	var told ends
	l := newScripted(t, script{end: func(ctx context.Context, reason sessionproc.Reason) {
		told.note(ctx, reason)
		panic("secret")
	}})
	for range 3 {
		l.start(t, "a")
		require.NoError(t, l.terminate(t.Context(), "a"))
	}
	require.Len(t, told.of("a"), 3)
	require.ErrorIs(t, l.terminate(t.Context(), "a"), sessionproc.ErrNotFound)
	requireNothingLeft(t, l)
}

func TestCtxOfOnEndEndsWithIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kept context.Context
		l := newScripted(t, script{end: func(ctx context.Context, _ sessionproc.Reason) {
			if kept = ctx; sessionproc.FromContext(ctx).ID() == "panics" {
				panic(panicText)
			}
		}})
		for _, id := range []string{"returns", "panics"} {
			l.start(t, id)
			require.NoError(t, l.terminate(t.Context(), id))
			synctest.Wait()
			require.ErrorIs(t, kept.Err(), context.Canceled, id)
		}
	})
}

func TestCtxOfOnEndHasStopTimeoutAsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kept context.Context
		l := newScripted(t, script{end: func(ctx context.Context, _ sessionproc.Reason) {
			kept = ctx
			deadline, ok := ctx.Deadline()
			if !ok || time.Until(deadline) != time.Second || ctx.Err() != nil {
				panic("wrong ctx")
			}
			<-ctx.Done()
		}})
		l.start(t, "a")
		begin := time.Now()
		require.NoError(t, l.terminate(t.Context(), "a"))
		require.Equal(t, time.Second, time.Since(begin), "StopTimeout")
		synctest.Wait()
		require.ErrorIs(t, kept.Err(), context.DeadlineExceeded)
	})
}

// A handler that ignores its ctx holds its ID, and nobody beyond StopTimeout.
func TestAStuckHandlerHoldsItsIDOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		var told ends
		l := newScripted(t, script{end: told.note, do: func(context.Context, string) (string, error) {
			<-gate
			return "",
				nil
		}})
		l.start(t, "a")
		call := doing(t.Context(), l, "a", "")
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, l.terminate(t.Context(), "a"))
		require.Equal(t, time.Second, time.Since(begin))
		require.ErrorIs(t, <-call, sessionproc.ErrTerminated)
		require.False(t, l.started(t, "a"))
		require.ErrorIs(t, l.terminate(t.Context(), "a"), sessionproc.ErrNotFound)

		ctx := lasting(t, time.Second)
		err := scripted.Start(ctx, l, "a", "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, sessionproc.MaybeExecuted(err))
		again, ensured := starting(t.Context(), l, "a"), make(chan error, 1)
		synctest.Wait()
		go func() {
			started, err := scripted.Ensure(t.Context(), l, "a", "")
			if started {
				err = errors.New("started twice")
			}
			ensured <- err
		}()
		synctest.Wait()
		require.Empty(t, told.of("a"))
		close(gate)
		require.NoError(t, <-again)
		require.NoError(t, <-ensured)
		require.True(t, l.started(t, "a"))
		require.Equal(t, []sessionproc.Reason{sessionproc.ReasonTerminated}, told.of("a"))
		require.Equal(t, 1, l.table.Live("scripted"))
	})
}
