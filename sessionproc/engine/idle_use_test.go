package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// What is use is use until it ends, and what is none is none, however long it takes:
// a session lives for IdleTimeout after the end of its last use.
func TestIdleTimeoutCountsFromTheEndOfUse(t *testing.T) {
	const long = 4 * idleLimit // and longer than CallTimeout
	hour := func(t *testing.T) context.Context {
		ctx := lasting(t, time.Hour)
		return ctx
	}
	takes := func(context.Context, string) (string, error) { time.Sleep(long); return "", nil }
	notes := func(context.Context, string) error { time.Sleep(long); return nil }
	starts := func(context.Context, string) error { time.Sleep(long); return nil }
	started := func(use func(t *testing.T, l *local)) func(*testing.T, *local) {
		return func(t *testing.T, l *local) { l.start(t, "a"); use(t, l) }
	}
	untyped := func(op core.Op, method string) func(t *testing.T, l *local) {
		return func(t *testing.T, l *local) {
			err := l.Deliver(hour(t), "a", engine.Untyped(op, "scripted", method, "a", nil))
			if _, ensured := core.Ensured(err); op != core.OpEnsure || ensured != nil {
				require.NoError(t, err)
			}
		}
	}
	call := func(t *testing.T, l *local) { require.NoError(t, <-doing(hour(t), l, "a", "")) }
	cast := func(t *testing.T, l *local) {
		require.NoError(t, note.Cast(hour(t), l, "a", ""))
		time.Sleep(long)
	}
	almost := idleLimit - time.Second // after which it is used once more
	for what, c := range map[string]struct {
		script script
		use    func(t *testing.T, l *local) // a has ended a use when it returns
		none   bool                         // it is no use: a does not live as long
	}{
		"a start": {script{start: starts}, func(t *testing.T, l *local) {
			require.NoError(t,
				scripted.Start(hour(t), l, "a", ""))
		}, false},
		"an untyped start":  {script{start: starts}, untyped(core.OpStart, ""), false},
		"a start by Ensure": {script{start: starts}, untyped(core.OpEnsure, ""), false},
		"a start on call": {script{start: starts, method: sessionproc.MethodConfig{StartOnCall: true, NoTouch: true}},
			call, false},
		"a call":           {script{do: takes}, started(call), false},
		"an untyped call":  {script{do: takes}, started(untyped(core.OpCall, "do")), false},
		"a read only call": {script{do: takes, method: sessionproc.MethodConfig{ReadOnly: true}}, started(call), false},
		"a cast":           {script{note: notes}, started(cast), false},
		"a call that was given up": {script{do: takes}, started(func(t *testing.T, l *local) {
			require.Error(t, <-doing(t.Context(), l, "a", "")) // CallTimeout
			time.Sleep(long - 15*time.Second)
		}), false},
		"a crash": {script{kind: sessionproc.KindConfig{Restart: sessionproc.RestartFresh},
			do: func(context.Context, string) (string, error) {
				time.Sleep(long)
				panic("boom")
			}}, started(func(t *testing.T, l *local) {
			require.ErrorIs(t, <-doing(hour(t), l, "a", ""), sessionproc.ErrCrashed)
		}), false},
		"a restart": {restartsSlowly(long), started(func(t *testing.T, l *local) {
			require.ErrorIs(t, <-doing(hour(t), l, "a", ""), sessionproc.ErrCrashed)
			time.Sleep(long)
		}), false},
		"Ensure": {script{}, started(func(t *testing.T, l *local) {
			time.Sleep(almost)
			was, err := scripted.Ensure(hour(t), l, "a", "")
			require.NoError(t, err)
			require.False(t, was)
		}), false},
		"an untyped Ensure": {script{},
			started(func(t *testing.T, l *local) { time.Sleep(almost); untyped(core.OpEnsure, "")(t, l) }), false},
		"Start": {script{}, started(func(t *testing.T, l *local) {
			time.Sleep(almost)
			require.ErrorIs(t, scripted.Start(hour(t), l, "a", ""), sessionproc.ErrAlreadyStarted)
		}), true},
		"an Ensure of another kind": {script{}, started(func(t *testing.T, l *local) {
			time.Sleep(almost)
			_, err := counters.Ensure(hour(t), l, "a", 0)
			require.ErrorIs(t, err, sessionproc.ErrWrongKind)
		}), true},
		"a call without touch": {script{do: takes, method: sessionproc.MethodConfig{NoTouch: true}}, started(call), true},
		"a cast without touch": {script{note: notes, notice: sessionproc.MethodConfig{NoTouch: true}}, started(cast), true},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newLocal(t, expiring(c.script).make(), newCounters())
				c.use(t, l)
				lived := aliveFor(t, l)
				if c.none {
					require.Less(t, lived, time.Second+lateness)
					return
				}
				require.GreaterOrEqual(t, lived, idleLimit-40*time.Millisecond)
				require.Less(t, lived, idleLimit+lateness)
			})
		})
	}
}

// restartsSlowly crashes; its start function takes long from the second time on.
func restartsSlowly(long time.Duration) script {
	starts := 0
	return script{
		kind: sessionproc.KindConfig{Restart: sessionproc.RestartFresh},
		do:   func(context.Context, string) (string, error) { panic("boom") },
		start: func(context.Context, string) error {
			if starts++; starts > 1 {
				time.Sleep(long)
			}
			return nil
		},
	}
}

// A session that moves after a long handler is not idle when it comes.
func TestIdleTimeoutCountsFromTheEndOfUseAcrossAMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := expiring(script{do: func(context.Context, string) (string, error) { time.Sleep(3 * idleLimit); return "", nil }})
		l, there := newScripted(t, s), newScripted(t, s)
		l.start(t, "a")
		ctx := lasting(t, time.Hour)
		call := doing(ctx, l, "a", "")
		synctest.Wait()
		travel(t, l, there, "a")
		require.NoError(t, <-call)
		require.GreaterOrEqual(t, aliveFor(t, there), idleLimit-40*time.Millisecond)
	})
}

// Ticks that keep a session busy all the time are no use of it; what users send is.
func TestSessionBusyOnlyWithTicksExpires(t *testing.T) {
	for _, used := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			var told ends
			l := newScripted(t, expiring(script{
				end: told.note,
				start: func(ctx context.Context, _ string) error {
					note.Every(ctx, tenth, "")
					return nil
				},
				note: func(context.Context, string) error { time.Sleep(tenth + tenth/2); return nil },
				do:   func(context.Context, string) (string, error) { time.Sleep(2 * idleLimit); return "", nil },
			}))
			l.start(t, "a")
			if used {
				time.Sleep(idleLimit - tenth)
				require.NoError(t, <-doing(t.Context(), l, "a", "")) // which waits when the time is up
			}
			lived := aliveFor(t, l)
			require.GreaterOrEqual(t, lived, idleLimit-40*time.Millisecond)
			require.Less(t, lived, idleLimit+lateness)
			require.Equal(t, []sessionproc.Reason{sessionproc.ReasonExpired}, told.of("a"))
		})
	}
}
