package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func names(prefix string, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s%d", prefix, i))
	}
	return ids
}

func deep(n int) int {
	var frame [512]byte
	frame[n%512] = 1
	if n == 0 {
		return int(frame[0]) - 1
	}
	return deep(n-1) + int(frame[n%512])
}

func TestHandlersMayRecurseDeeply(t *testing.T) {
	l := newScripted(t, script{do: func(_ context.Context, r string) (string, error) {
		return fmt.Sprint(deep(2000)),
			nil
	}})
	ids := names("s", 20)
	l.start(t, ids...)
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			for range 5 {
				got, err := do.Call(t.Context(), l, id, "")
				assert.NoError(t, err)
				assert.Equal(t, "2000", got)
			}
		})
	}
	wg.Wait()
}

// Beyond the bound of parked workers handlers still run, all at once.
func TestMoreHandlersThanWorkersRunAtOnce(t *testing.T) {
	const all = 300
	gate := make(chan struct{})
	var running atomic.Int64
	l := newScripted(t, script{do: func(context.Context, string) (string, error) {
		running.Add(1)
		<-gate
		return "",
			nil
	}})
	ids := names("s", all)
	l.start(t, ids...)
	results := make([]<-chan error, all)
	for i, id := range ids {
		results[i] = doing(t.Context(), l, id, "")
	}
	require.Eventually(t, func() bool { return running.Load() == all }, 30*time.Second, time.Millisecond)
	require.LessOrEqual(t, l.table.LiveWorkers(), 128)
	close(gate)
	for _, done := range results {
		require.NoError(t, <-done)
	}
	require.LessOrEqual(t, l.table.LiveWorkers(), 128)
}

func TestGoexitInAHandlerEndsItsSessionOnly(t *testing.T) {
	l := newScripted(t, script{
		do: func(_ context.Context, r string) (string, error) {
			if r == "exit" {
				runtime.Goexit()
			}
			return r, nil
		},
		start: func(_ context.Context, arg string) error {
			if arg == "exits" {
				runtime.Goexit()
			}
			return nil
		},
	})
	for range 300 { // more often than there are workers
		l.start(t, "a", "b")
		_, err := do.Call(t.Context(), l, "a", "exit")
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		require.ErrorIs(t, scripted.Start(t.Context(), l, "exits", "exits"), sessionproc.ErrCrashed)
		_, err = do.Call(t.Context(), l, "a", "x")
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		_, err = do.Call(t.Context(), l, "b", "x")
		require.NoError(t, err)
		require.NoError(t, l.terminate(t.Context(), "b"))
	}
	require.Eventually(t, func() bool { runtime.GC(); return l.table.LiveWorkers() < 10 }, 5*time.Second,
		10*time.Millisecond)
}

func TestUnusedWorkersAreDismissed(t *testing.T) {
	gate := make(chan struct{})
	l := newScripted(t, script{do: func(context.Context, string) (string, error) { <-gate; return "", nil }})
	var results []<-chan error
	for _, id := range names("s", 100) {
		l.start(t, id)
		results = append(results, doing(t.Context(), l, id, ""))
	}
	require.Eventually(t, func() bool { return l.table.LiveWorkers() >= 100 }, 30*time.Second, time.Millisecond)
	close(gate)
	for _, done := range results {
		require.NoError(t, <-done)
	}
	require.Eventually(t, func() bool { runtime.GC(); return l.table.LiveWorkers() < 10 }, 5*time.Second,
		10*time.Millisecond)
	l.start(t, "again")
	_, err := do.Call(t.Context(), l, "again", "")
	require.NoError(t, err)
}

// A session that was handed to its worker when Close comes must not keep the
// worker from being dismissed.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for round := range 100 {
		table, err := engine.NewTable(engine.TableConfig{Partitions: partitions,
			Kinds:       []sessionproc.AnyKind{newCounters()},
			CallTimeout: time.Second, StopTimeout: time.Second, MaxStarting: 4})
		require.NoError(t, err)
		l := &local{table}
		ids := names("s", 20)
		for _, id := range ids {
			require.NoError(t, counters.Start(t.Context(), l, id, 0))
		}
		late := make(chan struct{})
		go func() { // starts and casts that meet the end
			defer close(late)
			for i := range 20 {
				_ = counters.Start(context.Background(), l, fmt.Sprintf("late%d", i), 0)
				_ = bump.Cast(context.Background(), l, ids[i], sessionproc.None{})
			}
		}()
		for _, id := range ids[:round%20] {
			require.NoError(t, bump.Cast(t.Context(), l, id, sessionproc.None{}))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		require.NoError(t, table.Close(ctx))
		require.NoError(t, table.Close(ctx), "again")
		cancel()
		<-late
		require.Zero(t, table.Len())
		require.Zero(t, table.LiveWorkers())
		require.ErrorIs(t, counters.Start(t.Context(), l, "after", 0), sessionproc.ErrClosed)
		_, err = addTo.Call(t.Context(), l, ids[0], 1)
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
	}
	goleak.VerifyNone(t, before)
}

func TestCloseWaitsForHandlersUntilItsCtxEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		l := newScripted(t, script{do: func(context.Context, string) (string, error) { <-gate; return "", nil }})
		l.start(t, "a")
		done := doing(t.Context(), l, "a", "")
		synctest.Wait()
		ctx := lasting(t, time.Second)
		begin := time.Now()
		err := l.table.Close(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "1 handlers still run")
		require.Equal(t, time.Second, time.Since(begin))
		require.ErrorIs(t, <-done, sessionproc.ErrClosed)
		close(gate)
		synctest.Wait()
		require.Zero(t, l.table.Len())
		require.Zero(t, l.table.LiveWorkers())
	})
}

// The pool of a token outlives a table and a synctest bubble; what it holds
// must not.
func TestTokensServeSeveralTablesAndBubbles(t *testing.T) {
	for range 3 {
		bubble(t, func(t *testing.T) {
			a, b := newLocal(t, newCounters()), newLocal(t, newCounters())
			for i := range 20 {
				for j, l := range []*local{a, b} {
					_, err := counters.Ensure(t.Context(), l, "x", j)
					require.NoError(t, err)
					n, err := addTo.Call(t.Context(), l, "x", 1)
					require.NoError(t, err)
					require.Equal(t, j+i+1, n)
				}
			}
		})
	}
}
