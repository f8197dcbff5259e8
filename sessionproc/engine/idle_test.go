package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// aliveFor returns how long session a stays, seen every 10 ms.
func aliveFor(t *testing.T, l *local) time.Duration {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		synctest.Wait()
		if lived := time.Since(begin); !l.started(t, "a") || lived > time.Hour {
			return lived
		}
	}
}

const (
	idleLimit = 5 * time.Second
	lateness  = time.Second // at most
)

func expiring(s script) script {
	s.kind.IdleTimeout = idleLimit
	return s
}

func TestAnIdleSessionExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		l := newScripted(t, expiring(script{end: told.note}))
		l.start(t, "a")
		lived := aliveFor(t, l)
		require.GreaterOrEqual(t, lived, idleLimit-20*time.Millisecond)
		require.Less(t, lived, idleLimit+lateness)
		require.Equal(t, []sessionproc.Reason{sessionproc.ReasonExpired}, told.of("a"))
		requireNothingLeft(t, l)
		require.Zero(t, l.table.Live("scripted"))
	})
}

func TestCallsAndCastsKeepASessionAlive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, expiring(script{}))
		l.start(t, "a")
		for i := range 10 {
			time.Sleep(idleLimit - time.Second)
			if i%2 == 0 {
				_, err := do.Call(t.Context(), l, "a", "")
				require.NoError(t, err)
			} else {
				require.NoError(t, note.Cast(t.Context(), l, "a", ""))
			}
		}
		lived := aliveFor(t, l)
		require.GreaterOrEqual(t, lived, idleLimit-20*time.Millisecond)
		require.Less(t, lived, idleLimit+lateness)
	})
}

func TestNoTouchAndTimersDoNotCountAsUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		seen := 0
		l := newScripted(t, expiring(script{
			method: sessionproc.MethodConfig{NoTouch: true},
			start:  func(ctx context.Context, _ string) error { note.Every(ctx, tenth, ""); return nil },
			note:   func(context.Context, string) error { seen++; return nil },
		}))
		l.start(t, "a")
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(tenth):
					_, _ = do.Call(context.Background(), l, "a", "")
				}
			}
		}()
		lived := aliveFor(t, l)
		close(stop)
		require.GreaterOrEqual(t, lived, idleLimit-20*time.Millisecond)
		require.Less(t, lived, idleLimit+3*lateness, "when it is found busy it is looked at again a little later")
		require.Greater(t, seen, 45)
	})
}

// A handler that runs longer than IdleTimeout is use.
func TestABusySessionDoesNotExpire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, expiring(script{do: func(context.Context, string) (string, error) {
			time.Sleep(2 * idleLimit)
			return "done", nil
		}}))
		l.start(t, "a")
		got, err := do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		require.Equal(t, "done", got)
	})
}

func TestWithoutIdleTimeoutASessionStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{})
		l.start(t, "a")
		time.Sleep(10 * time.Minute)
		require.True(t, l.started(t, "a"))
	})
}
