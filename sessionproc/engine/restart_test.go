package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A phoenix adds numbers; a negative one crashes it half-way.
var (
	phoenixes = sessionproc.KindOf[int]("phoenix")
	feed      = sessionproc.MethodOf[int, int](phoenixes, "feed")
	peek      = sessionproc.MethodOf[int, int](phoenixes, "peek")
	nudge     = sessionproc.NoticeOf[int](phoenixes, "nudge")
	setAlarm  = sessionproc.MethodOf[time.Duration, sessionproc.None](phoenixes, "set alarm")
	burn      = sessionproc.MethodOf[sessionproc.None, sessionproc.Incarnation](phoenixes, "incarnation")
)

type phoenix struct{ N int }

func (p *phoenix) feed(n int) int {
	p.N += n
	if n < 0 {
		panic(panicText)
	}
	return p.N
}

func newPhoenixes(cfg sessionproc.KindConfig, started *atomic.Int32) sessionproc.AnyKind {
	k := sessionproc.NewKind(phoenixes, func(_ context.Context, n int) (*phoenix, error) {
		if started != nil && started.Add(1) > 1 && n == 13 {
			return nil, errors.New("no second start")
		}
		return &phoenix{n}, nil
	}, cfg)
	sessionproc.HandleCall(k, feed, func(p *phoenix, _ context.Context, n int) (int, error) { return p.feed(n), nil })
	sessionproc.HandleCall(k, peek, func(p *phoenix, _ context.Context, n int) (int, error) {
		if n < 0 {
			panic(panicText)
		}
		return p.N, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCast(k, nudge, func(p *phoenix, _ context.Context, n int) error { p.feed(n); return nil })
	sessionproc.HandleCall(k, setAlarm, func(_ *phoenix, ctx context.Context, d time.Duration) (sessionproc.None, error) {
		nudge.After(ctx, d, 100)
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCall(k, burn, func(_ *phoenix, ctx context.Context, _ sessionproc.None) (sessionproc.Incarnation,
		error) {
		return sessionproc.FromContext(ctx).Incarnation(), nil
	})
	return k
}

func feedIt(t testing.TB, l *local, id string, n int) int {
	t.Helper()
	got, err := feed.Call(t.Context(), l, id, n)
	require.NoError(t, err)
	return got
}

func crashIt(t testing.TB, l *local, id string) {
	t.Helper()
	_, err := feed.Call(t.Context(), l, id, -1)
	require.ErrorIs(t, err, sessionproc.ErrCrashed)
}

func life(t testing.TB, l *local, id string) sessionproc.Incarnation {
	t.Helper()
	i, err := burn.Call(t.Context(), l, id, sessionproc.None{})
	require.NoError(t, err)
	return i
}

func TestRestartLastStateKeepsStateAndTimers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newPhoenixes(sessionproc.KindConfig{Restart: sessionproc.RestartLastState}, nil))
		require.NoError(t, phoenixes.Start(t.Context(), l, "a", 5))
		require.Equal(t, 7, feedIt(t, l, "a", 2))
		_, err := setAlarm.Call(t.Context(), l, "a", time.Second)
		require.NoError(t, err)
		before := life(t, l, "a")
		crashIt(t, l, "a")
		require.Equal(t, 8, feedIt(t, l, "a", 1), "nothing of the crashed handler is left")
		require.NotEqual(t, before, life(t, l, "a"))
		_, err = peek.Call(t.Context(), l, "a", -1)
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		require.Equal(t, 9, feedIt(t, l, "a", 1), "what a ReadOnly handler left is as it was")
		time.Sleep(2 * time.Second)
		require.Equal(t, 109, feedIt(t, l, "a", 0), "its timers go on")
		require.Equal(t, engine.Supervision{Crashes: 2, Restarts: 2}, l.table.Supervision())
	})
}

func TestRestartFreshBeginsWithTheArgument(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newPhoenixes(sessionproc.KindConfig{Restart: sessionproc.RestartFresh}, nil))
		untyped := engine.Untyped(core.OpStart, "phoenix", "", 6, nil)
		require.NoError(t, phoenixes.Start(t.Context(), l, "a", 5))
		require.NoError(t, l.Deliver(t.Context(), "b", untyped))
		for id, first := range map[string]int{"a": 5, "b": 6} {
			require.Equal(t, first+2, feedIt(t, l, id, 2))
			_, err := setAlarm.Call(t.Context(), l, id, time.Second)
			require.NoError(t, err)
			before := life(t, l, id)
			crashIt(t, l, id)
			require.Equal(t, first+1, feedIt(t, l, id, 1))
			require.NotEqual(t, before, life(t, l, id))
			time.Sleep(2 * time.Second)
			require.Equal(t, first+1, feedIt(t, l, id, 0), "its timers are gone")
		}
	})
}

// What waits goes on waiting, through the back-off, within its deadlines.
func TestTheQueueSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newPhoenixes(sessionproc.KindConfig{Restart: sessionproc.RestartLastState}, nil))
		require.NoError(t, phoenixes.Start(t.Context(), l, "a", 0))
		crashIt(t, l, "a")
		begin := time.Now()
		crashIt(t, l, "a")
		for n := range 3 {
			require.NoError(t, nudge.Cast(t.Context(), l, "a", n))
		}
		ctx := lasting(t, 10*time.Millisecond)
		_, err := feed.Call(ctx, l, "a", 1000)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.Equal(t, 13, feedIt(t, l, "a", 10))
		require.Equal(t, 20*time.Millisecond, time.Since(begin))
	})
}

// The budget is the session's own: a loop of crashes ends one session.
func TestACrashLoopEndsOneSession(t *testing.T) {
	for _, policy := range []sessionproc.RestartPolicy{sessionproc.RestartLastState, sessionproc.RestartFresh} {
		bubble(t, func(t *testing.T) {
			l := newLocal(t, newPhoenixes(sessionproc.KindConfig{Restart: policy, RestartBudget: 3}, nil))
			for i := range 100 {
				require.NoError(t, phoenixes.Start(t.Context(), l, fmt.Sprint("sound", i), i))
			}
			require.NoError(t, phoenixes.Start(t.Context(), l, "a", 0))
			require.NoError(t, phoenixes.Start(t.Context(), l, "b", 0))
			for range 3 {
				crashIt(t, l, "a")
				crashIt(t, l, "b")
			}
			time.Sleep(2 * time.Minute)
			crashIt(t, l, "b")
			require.Equal(t, 1, feedIt(t, l, "b", 1), "its window has passed")
			for range 3 {
				crashIt(t, l, "a")
			}
			crashIt(t, l, "a")
			_, err := feed.Call(t.Context(), l, "a", 1)
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
			for i := range 100 {
				require.Equal(t, i, feedIt(t, l, fmt.Sprint("sound", i), 0))
			}
			require.NoError(t, phoenixes.Start(t.Context(), l, "a", 0), "its ID is free")
		})
	}
}

func TestAFailedRestartCountsAsACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		started := new(atomic.Int32)
		l := newLocal(t, newPhoenixes(sessionproc.KindConfig{Restart: sessionproc.RestartFresh}, started))
		require.NoError(t, phoenixes.Start(t.Context(), l, "a", 13))
		crashIt(t, l, "a")
		_, err := feed.Call(t.Context(), l, "a", 1)
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		require.EqualValues(t, 6, started.Load())
		synctest.Wait() // the caller is answered first
		require.Zero(t, l.table.Len())
	})
}

// The end of a session does not wait for its back-off, nor does its move.
func TestBackOffDelaysNeitherEndNorMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := sessionproc.KindConfig{Restart: sessionproc.RestartLastState, RestartBudget: 3}
		a, b := newLocal(t, newPhoenixes(cfg, nil)), newLocal(t, newPhoenixes(cfg, nil))
		for _, id := range []string{"ends", "moves", "stays"} {
			require.NoError(t, phoenixes.Start(t.Context(), a, id, 4))
			for range 3 {
				crashIt(t, a, id)
			}
		}
		begin := time.Now()
		require.NoError(t, a.terminate(t.Context(), "ends"))
		travel(t, a, b, "moves")
		require.Zero(t, time.Since(begin))
		require.Equal(t, 4, feedIt(t, b, "moves", 0))
		crashIt(t, b, "moves")
		synctest.Wait()
		_, err := feed.Call(t.Context(), b, "moves", 0)
		require.ErrorIs(t, err, sessionproc.ErrNotFound, "the budget has moved along")
	})
}

func TestTheArgumentOfAFreshRestartTravels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := sessionproc.KindConfig{Restart: sessionproc.RestartFresh}
		a, b := newLocal(t, newPhoenixes(cfg, nil)), newLocal(t, newPhoenixes(cfg, nil))
		require.NoError(t, phoenixes.Start(t.Context(), a, "a", 4))
		feedIt(t, a, "a", 1)
		travel(t, a, b, "a")
		require.Equal(t, 5, feedIt(t, b, "a", 0))
		crashIt(t, b, "a")
		require.Equal(t, 4, feedIt(t, b, "a", 0))
	})
}

func TestStateBeyondMaxStateIsNotKeptAndStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, log := newLogged(t, newPhoenixes(sessionproc.KindConfig{Restart: sessionproc.RestartLastState,
			MaxState: 3}, nil))
		require.NoError(t, phoenixes.Start(t.Context(), l, "a", 1<<30))
		feedIt(t, l, "a", 1)
		require.Contains(t, log.String(), "KindConfig.MaxState is 3")
		_, err := take(t, l, "a")
		limit, ok := errors.AsType[*sessionproc.LimitError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, sessionproc.LimitError{Limit: "KindConfig.MaxState", Max: 3}, *limit)
		l.table.Resume(part("a"), "a")
		crashIt(t, l, "a")
		_, err = feed.Call(t.Context(), l, "a", 0)
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
	})
}

func TestASlowHandlerIsReportedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, log := newLogged(t, script{kind: sessionproc.KindConfig{SlowHandler: time.Second},
			do: func(_ context.Context, r string) (string, error) {
				d, err := time.ParseDuration(r)
				time.Sleep(d)
				return r, err
			}}.make())
		l.start(t, "a")
		for range 10 {
			require.NoError(t, <-doing(t.Context(), l, "a", "900ms"))
		}
		require.Zero(t, l.table.Supervision().Slow)
		require.NoError(t, <-doing(t.Context(), l, "a", "9s"))
		require.EqualValues(t, 1, l.table.Supervision().Slow)
		require.Contains(t, log.String(), "a handler is slow")
		require.Contains(t, log.String(), "method=do")
		require.Contains(t, log.String(), "restart_test.go", "its stack")
	})
}

func TestSlowHandlersAreReportedByDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, log := newLogged(t, script{do: func(_ context.Context, r string) (string, error) {
			d, err := time.ParseDuration(r)
			time.Sleep(d)
			return r, err
		}}.make())
		l.start(t, "a")
		require.NoError(t, <-doing(t.Context(), l, "a", "9s"))
		require.Zero(t, l.table.Supervision().Slow)
		require.NoError(t, <-doing(t.Context(), l, "a", "14s"))
		require.EqualValues(t, 1, l.table.Supervision().Slow)
		require.Contains(t, log.String(), "limit=10s")
	})
}
