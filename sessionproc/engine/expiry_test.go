package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

func touch(ctx context.Context, l *local, id string) error {
	return l.Deliver(ctx, id, engine.Untyped(core.OpTouch, "", "", nil, nil))
}

func TestTouchCountsAsUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, expiring(script{}))
		require.ErrorIs(t, touch(t.Context(), l, "a"), sessionproc.ErrNotFound)
		l.start(t, "a")
		for range 10 {
			time.Sleep(idleLimit - time.Second)
			require.NoError(t, touch(t.Context(), l, "a"))
		}
		lived := aliveFor(t, l)
		require.GreaterOrEqual(t, lived, idleLimit-20*time.Millisecond)
		require.Less(t, lived, idleLimit+time.Second)
		require.ErrorIs(t, touch(t.Context(), l, "a"), sessionproc.ErrNotFound)
	})
}

// Touch answers while a handler runs, and a session may touch itself.
func TestTouchDoesNotWaitForTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		var l *local
		l = newScripted(t, script{do: func(ctx context.Context, r string) (string, error) {
			if r == "block" {
				<-gate
				return "", nil
			}
			return "", touch(ctx, l, "a")
		}})
		l.start(t, "a")
		done := doing(t.Context(), l, "a", "block")
		synctest.Wait()
		require.NoError(t, touch(t.Context(), l, "a"))
		close(gate)
		require.NoError(t, <-done)
		require.NoError(t, <-doing(t.Context(), l, "a", "itself"))
	})
}

func TestLifetimeEndsASessionInSpiteOfUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		l := newScripted(t, script{end: told.note, kind: sessionproc.KindConfig{IdleTimeout: idleLimit,
			Lifetime: 3 * idleLimit},
			start: func(ctx context.Context, _ string) error { note.Every(ctx, tenth, ""); return nil }})
		begin := time.Now()
		l.start(t, "a")
		err := error(nil)
		for err == nil {
			time.Sleep(50 * time.Millisecond)
			_, err = do.Call(t.Context(), l, "a", "")
		}
		if !errors.Is(err, sessionproc.ErrTerminated) { // it came in that very moment
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
		}
		synctest.Wait()
		require.GreaterOrEqual(t, time.Since(begin), 3*idleLimit-20*time.Millisecond)
		require.Less(t, time.Since(begin), 3*idleLimit+time.Second)
		require.Equal(t, []sessionproc.Reason{sessionproc.ReasonExpired}, told.of("a"))
		requireNothingLeft(t, l)
	})
}

// At the end of its Lifetime the handler that runs finishes, and what waits gets
// ErrTerminated.
func TestLifetimeLetsTheHandlerFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{kind: sessionproc.KindConfig{Lifetime: time.Second},
			do: func(context.Context, string) (string, error) { time.Sleep(3 * time.Second); return "", nil }})
		l.start(t, "a")
		first := doing(t.Context(), l, "a", "")
		synctest.Wait()
		second := doing(t.Context(), l, "a", "")
		require.NoError(t, <-first)
		require.ErrorIs(t, <-second, sessionproc.ErrTerminated)
		synctest.Wait()
		requireNothingLeft(t, l)
	})
}

// A time beyond the reach of the wheel, and one beyond all reason.
func TestIdleTimeoutBeyondTheWheelExpires(t *testing.T) {
	skipUnderRace(t)
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{kind: sessionproc.KindConfig{IdleTimeout: 20 * time.Minute, Lifetime: 1<<63 - 1}})
		l.start(t, "a")
		lived := aliveFor(t, l)
		require.GreaterOrEqual(t, lived, 20*time.Minute-20*time.Millisecond)
		require.Less(t, lived, 20*time.Minute+time.Second)
	})
}

func TestNegativeLifetimeIsRefused(t *testing.T) {
	_, err := engine.NewTable(engine.TableConfig{Partitions: 1, Kinds: []sessionproc.AnyKind{
		script{kind: sessionproc.KindConfig{Lifetime: -1}}.make()}})
	require.ErrorContains(t, err, "KindConfig.Lifetime is negative")
}

const crowd = 400

// crowdEnds starts many sessions, lets nobody use them until their time is up
// as still says, and returns how many there are every 100 ms from then on.
func crowdEnds(t *testing.T, l *local, still func()) (left []int) {
	for i := range crowd {
		l.start(t, fmt.Sprint("c", i))
	}
	still()
	for range 70 {
		synctest.Wait()
		left = append(left, l.table.Len())
		time.Sleep(tenth)
	}
	return left
}

func TestExpiryIsSpreadAfterAStandstill(t *testing.T) {
	for what, still := range map[string]func(l *local, stall *atomic.Bool){
		"stall": func(_ *local, stall *atomic.Bool) { stall.Store(true); time.Sleep(2*idleLimit + tenth) },
		"pause": func(l *local, _ *atomic.Bool) {
			l.table.Pause(errors.New("paused"))
			time.Sleep(2 * idleLimit)
			l.table.Unpause()
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var stall atomic.Bool
				l := newLocalWith(t, func(cfg *engine.TableConfig) {
					cfg.StallAfter = time.Millisecond
					cfg.OnStall = func(time.Duration) { // it is called by the table's loop
						if stall.CompareAndSwap(true, false) {
							time.Sleep(2 * idleLimit)
						}
					}
				}, expiring(script{}).make())
				l.table.DetectStalls(true)
				left := crowdEnds(t, l, func() { still(l, &stall) })
				for i := range left[1:] {
					require.Less(t, left[i]-left[i+1], crowd/10, "not all at once: %v", left)
				}
				require.Greater(t, left[2], crowd*8/10)
				require.Zero(t, left[55], "within 5 s")
			})
		})
	}
}

// One that is used after a standstill lives on.
func TestUseAfterAStandstillKeepsASessionAlive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, expiring(script{}))
		l.start(t, "a")
		l.table.Pause(errors.New("paused"))
		time.Sleep(2 * idleLimit)
		l.table.Unpause()
		require.NoError(t, touch(t.Context(), l, "a"))
		require.GreaterOrEqual(t, aliveFor(t, l), idleLimit-20*time.Millisecond)
	})
}

// A session whose end came before its time leaves nothing in the wheel or among
// the timers: its record is garbage.
func TestEndedSessionIsGarbage(t *testing.T) {
	shorttest.Skip(t)
	for _, how := range []string{"terminate", "stop", "crash", "expire"} {
		t.Run(how, func(t *testing.T) {
			var record weak.Pointer[sessionproc.Session]
			cfg := sessionproc.KindConfig{IdleTimeout: time.Hour, Lifetime: time.Hour}
			if how == "expire" {
				cfg.IdleTimeout = time.Millisecond
			}
			l := newScripted(t, script{kind: cfg,
				start: func(ctx context.Context, _ string) error {
					record = weak.Make(sessionproc.FromContext(ctx))
					note.Every(ctx, time.Hour, "")
					note.AfterNamed(ctx, "name", time.Hour, "")
					return nil
				},
				do: func(ctx context.Context, _ string) (string, error) {
					if how == "crash" {
						panic(panicText)
					}
					sessionproc.FromContext(ctx).Stop("")
					return "", nil
				}})
			// Without a deadline a message's own timer would hold the record, for 15 s.
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, scripted.Start(ctx, l, "a", "a"))
			switch how {
			case "terminate":
				require.NoError(t, l.terminate(ctx, "a"))
			case "stop", "crash":
				_, _ = do.Call(ctx, l, "a", "")
			}
			cancel()
			require.Eventually(t, func() bool {
				runtime.GC()
				return record.Value() == nil
			}, 30*time.Second, 20*time.Millisecond) // the timer of a message that was used again may hold it for 15 s
			requireNothingLeft(t, l)
			require.Zero(t, l.table.Expiring())
		})
	}
}
