package engine_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func requireLimit(t testing.TB, want sessionproc.LimitError, sentinel, err error) {
	t.Helper()
	require.ErrorIs(t, err, sentinel)
	limit, ok := errors.AsType[*sessionproc.LimitError](err)
	require.True(t, ok)
	require.Equal(t, want, *limit)
	require.False(t, sessionproc.MaybeExecuted(err))
}

// One slot is left, thirty come at once.
func TestMaxSessionsOfTheNodeIsExact(t *testing.T) {
	l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxSessions = 3 }, script{}.make())
	l.start(t, "a", "b")
	var wg sync.WaitGroup
	var started atomic.Int32
	for i := range 30 {
		wg.Go(func() {
			err := scripted.Start(t.Context(), l, fmt.Sprint("more", i), "")
			if err == nil {
				started.Add(1)
				return
			}
			assert.ErrorIs(t, err, sessionproc.ErrTooManySessions)
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, started.Load())
	requireLimit(t, sessionproc.LimitError{Limit: "Config.MaxSessions", Max: 3}, sessionproc.ErrTooManySessions,
		scripted.Start(t.Context(), l, "c", ""))
	require.ErrorIs(t, scripted.Start(t.Context(), l, "a", ""), sessionproc.ErrAlreadyStarted)
	require.NoError(t, l.terminate(t.Context(), "a"))
	l.start(t, "c")
}

func TestStartBeyondStartRateIsRefused(t *testing.T) {
	for name, set := range map[string]func(*engine.TableConfig, *sessionproc.KindConfig){
		"Config.StartRate":     func(c *engine.TableConfig, _ *sessionproc.KindConfig) { c.StartRate = 5 },
		"KindConfig.StartRate": func(_ *engine.TableConfig, k *sessionproc.KindConfig) { k.StartRate = 5 },
	} {
		bubble(t, func(t *testing.T) {
			s := script{method: sessionproc.MethodConfig{StartOnCall: true}}
			l := newLocalWith(t, func(c *engine.TableConfig) { set(c, &s.kind) },
				func() sessionproc.AnyKind { set(new(engine.TableConfig), &s.kind); return s.make() }())
			l.start(t, names("a", 4)...)
			for range 20 {
				require.ErrorIs(t, scripted.Start(t.Context(), l, names("a", 1)[0], ""), sessionproc.ErrAlreadyStarted)
			}
			l.start(t, "fifth")
			want := sessionproc.LimitError{Limit: name, Max: 5, RetryAfter: 200 * time.Millisecond}
			requireLimit(t, want, sessionproc.ErrRateLimited, scripted.Start(t.Context(), l, "sixth", ""))
			_, err := do.Call(t.Context(), l, "sixth", "")
			requireLimit(t, want, sessionproc.ErrRateLimited, err)
			time.Sleep(want.RetryAfter)
			l.start(t, "sixth")
			require.ErrorIs(t, scripted.Start(t.Context(), l, "seventh", ""), sessionproc.ErrRateLimited)
		})
	}
}

// A start that another limit refuses costs no token.
func TestARefusedStartCostsNoToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocalWith(t, func(c *engine.TableConfig) { c.StartRate = 1 },
			script{kind: sessionproc.KindConfig{StartRate: 2}}.make())
		l.start(t, "a")
		for range 10 {
			requireLimit(t, sessionproc.LimitError{Limit: "Config.StartRate", Max: 1, RetryAfter: time.Second},
				sessionproc.ErrRateLimited,
				scripted.Start(t.Context(), l, "b", ""))
		}
		require.Equal(t, 1, l.table.Len())
	})
}

func TestMessageBeyondMessageRateIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{kind: sessionproc.KindConfig{MessageRate: 10, MessageBurst: 2}})
		l.start(t, "a", "b")
		want := sessionproc.LimitError{Limit: "KindConfig.MessageRate", Max: 10, RetryAfter: 100 * time.Millisecond}
		for range 3 {
			require.NoError(t, <-doing(t.Context(), l, "a", ""))
			if err := note.Cast(t.Context(), l, "a", ""); err != nil { // after the first round one token is there
				requireLimit(t, want, sessionproc.ErrRateLimited, err)
			}
			requireLimit(t, want, sessionproc.ErrRateLimited, <-doing(t.Context(), l, "a", ""))
			require.NoError(t, <-doing(t.Context(), l, "b", ""), "each session has its own")
			time.Sleep(want.RetryAfter)
		}
	})
}

func TestStartAboveTheMemoryMarkIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var heap atomic.Int64
		heap.Store(100)
		log := new(journal)
		l := newLocalWith(t, func(c *engine.TableConfig) {
			log.into(c)
			c.MemoryMark, c.HeapInUse = 100, heap.Load
		}, script{}.make())
		l.start(t, "a")
		heap.Store(101)
		time.Sleep(2 * time.Second)
		want := sessionproc.LimitError{Limit: "Config.MemoryMark", Max: 100, RetryAfter: time.Second}
		requireLimit(t, want, sessionproc.ErrMemoryMark, scripted.Start(t.Context(), l, "b", ""))
		require.ErrorIs(t, l.table.OverMemory(), sessionproc.ErrMemoryMark)
		require.ErrorIs(t, scripted.Start(t.Context(), l, "a", ""), sessionproc.ErrAlreadyStarted)
		require.NoError(t, <-doing(t.Context(), l, "a", ""), "those that are there work on")
		require.Contains(t, log.String(), "above MemoryMark")
		require.EqualValues(t, 101, l.table.Stats(t.Context()).Heap)
		heap.Store(99)
		time.Sleep(2 * time.Second)
		require.NoError(t, l.table.OverMemory())
		l.start(t, "b")
	})
}

func TestMemoryMarkMeasuresTheHeap(t *testing.T) {
	runtime.GC() // there may have been none
	l := newLocalWith(t, func(c *engine.TableConfig) { c.MemoryMark = 1 }, script{}.make())
	require.ErrorIs(t, scripted.Start(t.Context(), l, "a", ""), sessionproc.ErrMemoryMark)
}
