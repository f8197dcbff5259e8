package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// What stands in the line when a session ends, moves or begins anew.
func TestLineOfASessionThatEndsIsAnswered(t *testing.T) {
	for what, c := range map[string]struct {
		script script
		act    func(t *testing.T, l *local)
		last   string // what the running handler does in the end
		is     error  // nil: they are handled
	}{
		"terminated": {act: func(t *testing.T, l *local) { require.NoError(t, l.terminate(t.Context(), "a")) },
			is: sessionproc.ErrTerminated},
		"closed": {act: func(t *testing.T, l *local) { l.table.EndPartition(part("a"), sessionproc.ReasonClosed) },
			is: sessionproc.ErrClosed},
		"stopped":   {last: "stop", is: sessionproc.ErrTerminated},
		"crashed":   {last: "panic", is: sessionproc.ErrCrashed},
		"restarted": {script: script{kind: sessionproc.KindConfig{Restart: sessionproc.RestartFresh}}, last: "panic"},
		"sealed": {act: func(t *testing.T, l *local) {
			require.True(t, l.table.Seal(part("a"), "a", errAway, func() bool { return true }, func([]byte, error) {}))
		}, is: errAway},
		"renewed": {act: func(t *testing.T, l *local) {
			go l.Deliver(t.Context(), "a", engine.Untyped(core.OpRenew, "", "", "new", nil))
		}, is: sessionproc.ErrUnavailable},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c.script.do = func(ctx context.Context, r string) (string, error) {
					switch {
					case r == "block" && c.last == "panic":
						panic("boom")
					case r == "block" && c.last == "stop":
						sessionproc.FromContext(ctx).Stop("")
					}
					return r, nil
				}
				l, open, got := crowded(t, c.script)
				ctx := lasting(t, time.Minute)
				all := []<-chan error{doing(ctx, l, "a", "3"), casting(ctx, l, "a", "4"),
					sending(ctx, l, core.OpCall, "do", "5"), sending(ctx, l, core.OpCast, "note", "6")}
				synctest.Wait()
				require.Equal(t, 4, details(t, l, "a").Line)
				begun := time.Now()
				if c.act != nil {
					go c.act(t, l)
					synctest.Wait()
				} else {
					open()
				}
				for _, done := range all {
					err := <-done
					require.ErrorIs(t, err, c.is)
					require.False(t, sessionproc.MaybeExecuted(err))
				}
				require.LessOrEqual(t, time.Since(begun), 50*time.Millisecond)
				if c.act != nil {
					open()
				}
				if all := got(); c.is == nil {
					require.Len(t, all, 7)
				} else {
					require.NotContains(t, all, "3")
				}
			})
		})
	}
}

// The line is bounded, by number and by bytes.
func TestTheLineIsBounded(t *testing.T) {
	t.Run("by number", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			l, open, got := crowded(t, script{})
			ctx := lasting(t, time.Minute)
			results := make(chan error, 5000)
			for i := range 5000 {
				go func() {
					if i%2 == 0 {
						results <- note.Cast(ctx, l, "a", "")
					} else {
						results <- <-doing(ctx, l, "a", "")
					}
				}()
			}
			synctest.Wait()
			require.Equal(t, 4096, details(t, l, "a").Line)
			for range 5000 - 4096 {
				err := <-results
				require.ErrorIs(t, err, sessionproc.ErrOverloaded)
				require.ErrorContains(t, err, "4096 messages wait")
			}
			open()
			for range 4096 {
				require.NoError(t, <-results)
			}
			require.Len(t, got(), 4096+3)
		})
	})
	t.Run("by bytes", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			l, open, _ := crowded(t, script{})
			ctx := lasting(t, time.Minute)
			msg := strings.Repeat("x", 4<<20)
			var all []<-chan error
			for range 3 {
				all = append(all, casting(ctx, l, "a", msg))
				synctest.Wait()
			}
			require.ErrorIs(t, note.Cast(ctx, l, "a", msg+msg), sessionproc.ErrOverloaded)
			require.Equal(t, 3, details(t, l, "a").Line)
			open()
			for _, done := range all {
				require.NoError(t, <-done)
			}
		})
	})
}

// Calls whose callers have gone keep no place from others, in the line nor in the
// mailbox.
func TestCallerThatHasGoneKeepsNoPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		l := newScripted(t, script{kind: sessionproc.KindConfig{Mailbox: 10},
			do: func(_ context.Context, r string) (string, error) {
				if r == "block" {
					<-gate
				}
				return r, nil
			}})
		l.start(t, "a")
		hour := lasting(t, time.Hour)
		first := doing(hour, l, "a", "block")
		synctest.Wait()
		for range 20 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			var all []<-chan error
			for i := range 100 {
				if i%2 == 0 {
					all = append(all, doing(ctx, l, "a", ""))
				} else {
					all = append(all, sending(ctx, l, core.OpCall, "do", ""))
				}
			}
			synctest.Wait()
			require.Equal(t, 90, details(t, l, "a").Line)
			for _, done := range all {
				require.Error(t, <-done)
			}
			cancel()
			require.Zero(t, details(t, l, "a").Line)
			require.LessOrEqual(t, details(t, l, "a").Waiting, 5)
		}
		for range 5 {
			require.NoError(t, note.Cast(t.Context(), l, "a", ""), "the handler is still blocked")
		}
		close(gate)
		require.NoError(t, <-first)
		synctest.Wait()
		require.Zero(t, details(t, l, "a").Waiting)
		require.Zero(t, details(t, l, "a").Bytes)
	})
}

// What has stood in the line for nothing costs no token of MessageRate.
func TestTheLineCostsNoMessageRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		// 3 of them are used
		l, open, got := crowded(t, script{kind: sessionproc.KindConfig{MessageRate: 1, MessageBurst: 6}})
		for range 10 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			require.ErrorIs(t, note.Cast(ctx, l, "a", ""), sessionproc.ErrOverloaded)
			require.ErrorIs(t, <-doing(ctx, l, "a", ""), sessionproc.ErrOverloaded)
			cancel()
		}
		ctx := lasting(t, time.Second)
		var all []<-chan error
		for range 3 {
			all = append(all, casting(ctx, l, "a", ""))
		}
		synctest.Wait()
		require.ErrorIs(t, note.Cast(ctx, l, "a", ""), sessionproc.ErrRateLimited)
		open()
		for _, done := range all {
			require.NoError(t, <-done)
		}
		require.Len(t, got(), 6)
	})
}

// A handler does not wait for a place that only its own end makes.
func TestHandlerDoesNotWaitForAPlaceInItsOwnMailbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var l *local
		results := make(chan error, 10)
		l = newScripted(t, script{kind: sessionproc.KindConfig{Mailbox: 2},
			do: func(ctx context.Context, r string) (string, error) {
				if r != "back" {
					for range 3 {
						results <- note.Cast(ctx, l, "a", "")
					}
					results <- untypedTo(l, core.OpCast, "note", "")(ctx)
					_, err := do.Call(ctx, l, "other", "back")
					return "", err
				}
				results <- note.Cast(ctx, l, "a", "") // which waits for this one
				return "", nil
			}})
		l.start(t, "a", "other")
		begun := time.Now()
		require.NoError(t, <-doing(t.Context(), l, "a", ""))
		require.Zero(t, time.Since(begun))
		for i := range 5 {
			if err := <-results; i < 2 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, sessionproc.ErrOverloaded)
				require.ErrorContains(t, err, "the mailbox is full")
			}
		}
	})
}

// Random messages whose callers give up at random, to a session that is slow, crashes,
// and moves away and back: what was acknowledged is handled once, in the order of each
// sender; what surely did not run is not.
func TestTheLineLosesAndDoublesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ran := map[string]int{}
		var mu sync.Mutex
		s := script{kind: sessionproc.KindConfig{Mailbox: 3, Restart: sessionproc.RestartFresh,
			RestartWindow: time.Millisecond}}
		s.note = func(_ context.Context, m string) error {
			mu.Lock()
			ran[m]++
			n := len(ran)
			mu.Unlock()
			time.Sleep(time.Duration(n%7) * time.Millisecond)
			if n%50 == 0 {
				panic("boom")
			}
			return nil
		}
		s.do = func(ctx context.Context, m string) (string, error) { return m, s.note(ctx, m) }
		l := newScripted(t, s)
		l.start(t, "a")
		var wg sync.WaitGroup
		acked, never := map[string]bool{}, map[string]bool{}
		for g := range 20 {
			wg.Go(func() {
				for i := range 100 {
					m := fmt.Sprint(g, "-", i)
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+(g*i)%97)*time.Millisecond)
					err := error(errAway)
					for errors.Is(err, errAway) && ctx.Err() == nil { // as a node does
						switch (g + i) % 4 {
						case 0:
							err = note.Cast(ctx, l, "a", m)
						case 1:
							err = <-doing(ctx, l, "a", m)
						case 2:
							err = untypedTo(l, core.OpCast, "note", m)(ctx)
						case 3:
							err = untypedTo(l, core.OpCall, "do", m)(ctx)
						}
						time.Sleep(time.Millisecond)
					}
					cancel()
					mu.Lock()
					acked[m] = err == nil
					never[m] = err != nil && !sessionproc.MaybeExecuted(err)
					mu.Unlock()
				}
			})
		}
		for range 30 {
			time.Sleep(20 * time.Millisecond)
			done := make(chan error, 1)
			if l.table.Seal(part("a"), "a", errAway, func() bool { return true }, func(_ []byte, err error) { done <- err }) {
				require.NoError(t, <-done)
				l.table.Resume(part("a"), "a")
			}
		}
		wg.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		handled := 0
		for m := range acked {
			if acked[m] {
				handled++
				require.Equal(t, 1, ran[m], m)
			}
			if never[m] {
				require.Zero(t, ran[m], m)
			}
			require.LessOrEqual(t, ran[m], 1, m)
		}
		require.Greater(t, handled, 100)
		require.Zero(t, details(t, l, "a").Line)
		require.Zero(t, details(t, l, "a").Waiting)
		require.Zero(t, details(t, l, "a").Bytes)
	})
}
