package engine_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// ring is one message of a timer.
type ring struct {
	at  time.Duration
	msg string
}

// alarms is a session whose do sets a timer, and the list of what came.
func alarms(t *testing.T, cfg sessionproc.KindConfig, set func(ctx context.Context, r string)) (l *local,
	came func() []ring) {
	begin := time.Now()
	var mu sync.Mutex
	var got []ring
	l = newScripted(t, script{
		kind: cfg,
		do: func(ctx context.Context, r string) (string, error) {
			set(ctx, r)
			return "", nil
		},
		note: func(_ context.Context, m string) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, ring{time.Since(begin), m})
			return nil
		},
	})
	l.start(t, "a")
	return l, func() []ring {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

const tenth = 100 * time.Millisecond

func TestAfterFiresOnceAndEveryRepeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, came := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, r string) {
			note.After(ctx, tenth, "after")
			note.Every(ctx, 2*tenth, "every")
		})
		_, err := do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		time.Sleep(7 * tenth)
		require.Equal(t, []ring{{tenth, "after"}, {2 * tenth, "every"}, {4 * tenth, "every"}, {6 * tenth, "every"}}, came())
	})
}

func TestATimerCanBeCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, came := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, r string) {
			if r == "cancel" {
				for range 2 {
					sessionproc.FromContext(ctx).CancelTimer("after")
					sessionproc.FromContext(ctx).CancelTimer("every")
				}
				return
			}
			require.NoError(t, note.AfterNamed(ctx, "after", tenth, "after"))
			require.NoError(t, note.EveryNamed(ctx, "every", tenth, "every"))
		})
		_, err := do.Call(t.Context(), l, "a", "cancel")
		require.NoError(t, err)
		_, err = do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		time.Sleep(tenth + tenth/2)
		require.Len(t, came(), 2)
		_, err = do.Call(t.Context(), l, "a", "cancel") // one of them has fired already
		require.NoError(t, err)
		time.Sleep(10 * tenth)
		require.Len(t, came(), 2)
	})
}

// A notice may re-arm itself or cancel itself from its own handler, and a start
// function may set a timer.
func TestTimersSetInStartFunctionsAndNoticesFire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var n atomic.Int64
		l := newScripted(t, script{
			start: func(ctx context.Context, _ string) error {
				note.After(ctx, 10*tenth, "again")
				return note.EveryNamed(ctx, "every", tenth, "every")
			},
			note: func(ctx context.Context, m string) error {
				if n := n.Add(1); m == "again" {
					note.After(ctx, tenth, "again")
				} else if n == 3 {
					sessionproc.FromContext(ctx).CancelTimer("every")
				}
				return nil
			},
		})
		l.start(t, "a")
		time.Sleep(9 * tenth)
		synctest.Wait()
		require.EqualValues(t, 3, n.Load())
		time.Sleep(5*tenth + tenth/2)
		synctest.Wait()
		require.EqualValues(t, 3+5, n.Load())
	})
}

// A full mailbox has room for a timer's message, which comes in its turn.
func TestAFullMailboxTakesATimersMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		l, came := alarms(t, sessionproc.KindConfig{Mailbox: 1}, func(ctx context.Context, r string) {
			if r == "block" {
				note.After(ctx, tenth, "timer")
				<-gate
			}
		})
		call := doing(t.Context(), l, "a", "block")
		synctest.Wait()
		require.NoError(t, note.Cast(t.Context(), l, "a", "fills"))
		time.Sleep(5*tenth + tenth/5)
		close(gate)
		require.NoError(t, <-call)
		require.Equal(t, []ring{{5*tenth + tenth/5, "fills"}, {5*tenth + tenth/5, "timer"}}, came())
		time.Sleep(10 * tenth)
		require.Len(t, came(), 2)
	})
}

func TestNoTimerFiresAfterTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, came := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, r string) {
			note.Every(ctx, tenth, r)
			note.After(ctx, tenth, r)
			if r == "crash" {
				panic(panicText)
			}
		})
		_, err := do.Call(t.Context(), l, "a", "first life")
		require.NoError(t, err)
		require.NoError(t, l.terminate(t.Context(), "a"))
		l.start(t, "a")
		_, err = do.Call(t.Context(), l, "a", "crash")
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		l.start(t, "a")
		time.Sleep(10 * tenth)
		require.Empty(t, came(), "a timer of another life of the ID")
	})
}

// Timers set in or after the end of a session are void.
func TestTimerSetAfterTheEndIsVoid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kept context.Context
		l := newScripted(t, script{
			do:  func(ctx context.Context, _ string) (string, error) { kept = ctx; return "", nil },
			end: func(ctx context.Context, _ sessionproc.Reason) { note.Every(ctx, tenth, "in Terminate") },
		})
		l.start(t, "a")
		_, err := do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		require.NoError(t, l.terminate(t.Context(), "a"))
		note.Every(kept, tenth, "after the end")
		require.NoError(t, note.EveryNamed(kept, "named", tenth, "after the end"))
		note.After(kept, tenth, "after the end")
		before := runtime.NumGoroutine()
		time.Sleep(10 * tenth)
		synctest.Wait()
		require.LessOrEqual(t, runtime.NumGoroutine(), before)
	})
}

func TestMisusedTimersPanicWithASentence(t *testing.T) {
	l := newLocal(t, newCounters(), script{do: func(ctx context.Context, r string) (text string, _ error) {
		defer func() { text, _ = recover().(string) }()
		if r == "kind" {
			bump.After(ctx, time.Second, sessionproc.None{})
		} else {
			note.Every(ctx, 0, "")
		}
		return
	}}.make())
	l.start(t, "a")
	text, err := do.Call(t.Context(), l, "a", "kind")
	require.NoError(t, err)
	require.Contains(t, text, `"counter"`)
	text, err = do.Call(t.Context(), l, "a", "interval")
	require.NoError(t, err)
	require.Contains(t, text, "positive")
	require.PanicsWithValue(t,
		"sessionproc: FromContext outside of a session: ctx is not one that a handler was given; "+
			"in a test use nodetest.Context",
		func() { note.After(t.Context(), time.Second, "") })
}

// Each message of a timer is a value of its own, made when the timer was set.
func TestATimersMessageIsACopy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ref := sessionproc.KindOf[int]("lists")
		arm := sessionproc.MethodOf[int, int](ref, "arm")
		tick := sessionproc.NoticeOf[[]int](ref, "tick")
		var sums []int
		k := sessionproc.NewKind(ref, startsAs[counter], sessionproc.KindConfig{})
		sessionproc.HandleCall(k, arm, func(_ *counter, ctx context.Context, _ int) (int, error) {
			list := []int{1, 2}
			tick.Every(ctx, tenth, list)
			list[0] = 100
			return 0, nil
		})
		sessionproc.HandleCast(k, tick, func(_ *counter, _ context.Context, list []int) error {
			sums = append(sums, list[0]+list[1])
			list[0] = 100
			return nil
		})
		l := newLocal(t, k)
		require.NoError(t, ref.Start(t.Context(), l, "a", 0))
		_, err := arm.Call(t.Context(), l, "a", 0)
		require.NoError(t, err)
		time.Sleep(3*tenth + tenth/2)
		synctest.Wait()
		require.Equal(t, []int{3, 3, 3}, sums)
	})
}

func TestANamedTimerIsSetAnewAndCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var s *sessionproc.Session
		l, came := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, r string) {
			s = sessionproc.FromContext(ctx)
			note.AfterNamed(ctx, "save", tenth, r)
		})
		for _, r := range []string{"first", "second"} {
			_, err := do.Call(t.Context(), l, "a", r)
			require.NoError(t, err)
			time.Sleep(tenth / 2)
		}
		time.Sleep(tenth)
		require.Equal(t, []ring{{tenth + tenth/2, "second"}}, came())
		require.False(t, s.CancelTimer("save"), "it has fired")
		_, err := do.Call(t.Context(), l, "a", "third")
		require.NoError(t, err)
		require.False(t, s.CancelTimer("other"))
		require.True(t, s.CancelTimer("save"))
		require.False(t, s.CancelTimer("save"))
		time.Sleep(10 * tenth)
		require.Len(t, came(), 1)
		require.Panics(t, func() { s.CancelTimer("") })
	})
}

// While nothing can be handled, messages of a timer do not pile up.
func TestTimersDuringAPauseFireOnceAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, came := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, r string) {
			note.EveryNamed(ctx, "every", tenth, "every")
			note.After(ctx, tenth, "after")
		})
		_, err := do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		l.table.Pause(errors.New("paused"))
		time.Sleep(20 * tenth)
		require.Empty(t, came())
		l.table.Unpause()
		require.ElementsMatch(t, []ring{{20 * tenth, "every"}, {20 * tenth, "after"}}, came())
		time.Sleep(tenth * 9 / 10)
		require.Len(t, came(), 2)
		time.Sleep(tenth / 10)
		require.Len(t, came(), 3)
	})
}
