package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// revive makes a new table, as another node would have after a crash, with the last durable record of a
// session.
func revive(t *testing.T, s *standbys, id string, code shopCode) *local {
	t.Helper()
	s.mu.Lock()
	r := s.durable[id]
	s.mu.Unlock()
	l, _ := newKept(t, 0, code.make())
	restored, err := l.table.Restore(part(id), id, r.Body)
	require.NoError(t, err)
	restored.Renew()
	require.NoError(t, restored.Insert())
	synctest.Wait()
	return l
}

// A handler can have what it has done so far made durable.
func TestAHandlerSaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, s := newKept(t, never, shopCode{run: func(ctx context.Context, s *shop, _ string) error {
			s.N = 7
			err := sessionproc.FromContext(ctx).Save(ctx)
			s.N = 8
			return err
		}}.make())
		startShop(t, l, s, "a")
		before := adding(t.Context(), l, "a", 1)
		synctest.Wait()
		run := asking(func() (int, error) { return shopRun.Call(t.Context(), l, "a", "") })
		requireWaits(t, run, "a handler that saves")
		s.release("a") // the record that was in flight
		require.Equal(t, 1, requireAnswered(t, before, "what came before").n)
		requireWaits(t, run, "a handler that saves")
		s.release("a")
		requireWaits(t, run, "the handler's own answer")
		require.Equal(t, 7, requireAnswered(t, getting(t.Context(), revive(t, s, "a", shopCode{}), "a"), "it").n)
		s.release("a")
		require.NoError(t, requireAnswered(t, run, "the handler").err)
		require.Equal(t, 8, requireAnswered(t, getting(t.Context(), revive(t, s, "a", shopCode{}), "a"), "it").n)
	})
}

// A handler that lasts keeps no answer from its caller that was made before it began; nor do two
// sessions wait for each other for that reason.
func TestNoAnswerWaitsForAHandlerThatLasts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, known := range []bool{false, true} { // that it lasts
			queue, hold := make(chan struct{}), make(chan struct{})
			l, s := newKept(t, time.Millisecond, shopCode{
				run:  func(context.Context, *shop, string) error { <-hold; return nil },
				tick: func(context.Context, *shop, string) { <-queue },
			}.make())
			require.NoError(t, shops.Start(t.Context(), l, "a", 0))
			_ = adding(t.Context(), l, "a", 1)
			if known {
				go func() { time.Sleep(time.Second); hold <- struct{}{} }()
				_, err := shopRun.Call(t.Context(), l, "a", "")
				require.NoError(t, err)
			}
			time.Sleep(time.Second)
			n := s.count()
			require.NoError(t, shopTick.Cast(t.Context(), l, "a", ""))
			synctest.Wait()
			var calls []<-chan result
			for range 3 {
				calls = append(calls, adding(t.Context(), l, "a", 1))
				synctest.Wait()
			}
			last := asking(func() (int, error) { return shopRun.Call(t.Context(), l, "a", "") })
			synctest.Wait()
			close(queue)
			time.Sleep(2 * time.Millisecond)
			for _, c := range calls {
				require.NoError(t, requireAnswered(t, c, "what came before").err)
			}
			require.Equal(t, n+1, s.count())
			requireWaits(t, last, "what lasts")
			close(hold)
			time.Sleep(2 * time.Millisecond)
			require.NoError(t, requireAnswered(t, last, "what lasts").err)
		}
	})
}

// A session that is idle makes a record when something else than a message changes it.
func TestAnIdleSessionRecordsWhatChangesIt(t *testing.T) {
	for name, change := range map[string]func(ctx context.Context){
		"a label":   func(ctx context.Context) { _ = sessionproc.FromContext(ctx).SetLabel("user", "ann") },
		"a timer":   func(ctx context.Context) { _ = shopTick.AfterNamed(ctx, "later", time.Hour, "") },
		"a value":   func(ctx context.Context) { _ = shopTotal.Publish(ctx, 5) },
		"a watch":   func(ctx context.Context) { sessionproc.Watch(ctx, "b", shopEnded) },
		"no timer":  func(ctx context.Context) { sessionproc.FromContext(ctx).CancelTimer("set before") },
		"no watch":  func(ctx context.Context) { sessionproc.Unwatch(ctx, "c", shopEnded) },
		"two of it": func(ctx context.Context) { _ = sessionproc.FromContext(ctx).SetLabel("user", "") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var left context.Context
				l, s := newKept(t, 0, shopCode{run: func(ctx context.Context, _ *shop, _ string) error {
					left = ctx
					_ = shopTick.AfterNamed(ctx, "set before", time.Hour, "")
					sessionproc.Watch(ctx, "c", shopEnded)
					return nil
				}}.make())
				require.NoError(t, shops.Start(t.Context(), l, "c", 0))
				require.NoError(t, shops.Start(t.Context(), l, "a", 0))
				_, err := shopRun.Call(t.Context(), l, "a", "")
				require.NoError(t, err)
				synctest.Wait()
				n := s.last("a").Seq
				v, ok := l.table.Version(part("a"), "a")
				require.True(t, ok)
				change(left) // as a goroutine may that a handler has left behind
				synctest.Wait()
				require.Greater(t, s.last("a").Seq, n)
				now, err := engine.ParseVersion(s.last("a").Version)
				require.NoError(t, err)
				require.True(t, now.Covers(v))
				require.False(t, v.Covers(now))
			})
		})
	}
}

// The standbys of the old ID know of a renewal before the new ID is asked for. After it both IDs are known
// wherever one is: the new one first.
func TestARenewalWaitsForItsRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, never, shopCode{}.make())
		startShop(t, l, s, "a")
		changed := adding(ctx, l, "a", 3)
		requireWaits(t, changed, "a change")
		renew := failing(func() error { return l.renew(ctx, "a", "b") })
		requireWaits(t, renew, "a renewal")
		s.release("a") // the record of the change
		require.Equal(t, 3, requireAnswered(t, changed, "the change").n)
		requireWaits(t, renew, "a renewal whose intent is not durable")
		require.Empty(t, s.last("b").ID, "the owner of the new ID is not asked yet")
		s.release("a")
		requireWaits(t, renew, "a renewal")
		require.Equal(t, engine.FormRunning, s.last("b").Form, "the new ID's record is in flight")
		s.mu.Lock()
		n := len(s.all)
		s.mu.Unlock()
		read := getting(ctx, l, "b")
		requireWaits(t, read, "a call under the new ID")
		s.release("b")
		requireWaits(t, renew, "a renewal whose mark is not durable")
		require.Equal(t, 3, requireAnswered(t, read, "the call").n)
		require.Equal(t, n+1, s.count())
		s.release("a")
		require.NoError(t, requireAnswered(t, renew, "the renewal").err)
		s.set(0, nil)
		mark, err := l.table.Restore(part("c"), "c", s.last("a").Body)
		require.NoError(t, err)
		require.NoError(t, mark.Insert())
		_, err = shopGet.Call(ctx, l, "c", sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrRenewed)
		time.Sleep(2 * time.Minute)
		require.Equal(t, engine.FormEnded, s.last("a").Form, "the end of a mark is recorded")
	})
}

// A move need not wait for the record in flight. Its end answers what waits.
func TestAMoveAnswersWhatWaits(t *testing.T) {
	for name, resumes := range map[string]bool{"the target has it": false, "it stays": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx, away := t.Context(), sessionproc.ErrUnavailable
				l, s := newKept(t, never, shopCode{}.make())
				startShop(t, l, s, "a")
				recorded, changed := adding(ctx, l, "a", 1), (<-chan result)(nil)
				synctest.Wait()
				changed = adding(ctx, l, "a", 2)
				requireWaits(t, changed, "a change behind the record in flight")
				var snapshot []byte
				require.True(t, l.table.Seal(part("a"), "a", away, func() bool { return true },
					func(b []byte, err error) { require.NoError(t, err); snapshot = b }))
				synctest.Wait()
				require.NotNil(t, snapshot, "the seal waits for no record")
				requireWaits(t, changed, "a change in a sealed session")
				if resumes {
					l.table.Resume(part("a"), "a")
					requireWaits(t, changed, "a change of a session that stays")
					s.release("a")
					require.Equal(t, 1, requireAnswered(t, recorded, "what was recorded").n)
					requireWaits(t, changed, "what was not")
					s.release("a")
				} else {
					l.table.Forget(part("a"), "a", nil)()
					require.Equal(t, 1, requireAnswered(t, recorded, "what was recorded").n)
				}
				require.Equal(t, 3, requireAnswered(t, changed, "the change").n)
				if !resumes {
					s.release("a") // too late for anybody
					require.Zero(t, l.table.Len())
				}
			})
		})
	}
}

// A timer that has fired fires again after a crash, unless its handling was recorded. So does a watch.
func TestTimersAndWatchesOutliveACrashUntilTheyAreHandled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, ticks, hold := t.Context(), new(atomic.Int32), make(chan struct{})
		code := shopCode{
			run: func(ctx context.Context, _ *shop, what string) error {
				if what == "wait" {
					<-hold
					return nil
				}
				sessionproc.Watch(ctx, "b", shopEnded)
				return shopTick.AfterNamed(ctx, "once", time.Second, "")
			},
			tick: func(context.Context, *shop, string) { ticks.Add(1) },
		}
		l, s := newKept(t, 0, code.make())
		require.NoError(t, shops.Start(ctx, l, "a", 0))
		require.NoError(t, shops.Start(ctx, l, "b", 0))
		_, err := shopRun.Call(ctx, l, "a", "")
		require.NoError(t, err)
		waits := asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "wait") })
		synctest.Wait()
		require.NoError(t, l.terminate(ctx, "b"))
		time.Sleep(2 * time.Second) // the tick and the end of b are in the mailbox
		s.set(never, nil)
		close(hold)
		require.NoError(t, shopBump.Cast(ctx, l, "a", 5))
		synctest.Wait()
		again := revive(t, s, "a", code) // from the record before
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 1, ticks.Load(), "where it was revived; here it waits for the record in flight")
		require.Equal(t, 1000, (<-getting(ctx, again, "a")).n)
		for range 3 {
			s.mu.Lock()
			inFlight := s.inFlight["a"] != nil
			s.mu.Unlock()
			if inFlight {
				s.release("a")
				synctest.Wait()
			}
		}
		_ = requireAnswered(t, waits, "the handler that waited")
		require.EqualValues(t, 2, ticks.Load())
		again = revive(t, s, "a", code)
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 2, ticks.Load(), "a tick that was handled does not come again")
		require.Equal(t, 1005, (<-getting(ctx, again, "a")).n)
	})
}

// A pause of the table holds up no answer whose handler has returned. Close leaves nobody waiting.
func TestPauseAndCloseWhileAnswersWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, hold := t.Context(), make(chan struct{})
		l, s := newKept(t, never, shopCode{run: func(context.Context, *shop, string) error { <-hold; return nil }}.make())
		startShop(t, l, s, "a")
		startShop(t, l, s, "b")
		run := asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "") })
		synctest.Wait()
		behind := adding(ctx, l, "a", 1)
		synctest.Wait()
		l.table.Pause(sessionproc.ErrNoQuorum)
		close(hold)
		requireWaits(t, run, "what has run")
		s.release("a")
		require.NoError(t, requireAnswered(t, run, "what has run").err)
		requireWaits(t, behind, "what is held by the pause")
		l.table.Unpause()
		requireWaits(t, behind, "what was held by the pause")
		ended := failing(func() error { return l.terminate(ctx, "b") })
		requireWaits(t, ended, "an end")
		n := s.count()
		require.NoError(t, l.table.Close(context.Background()))
		require.ErrorIs(t, requireAnswered(t, behind, "a call").err, sessionproc.ErrClosed)
		require.ErrorIs(t, requireAnswered(t, ended, "an end").err, sessionproc.ErrClosed)
		s.release("a")
		s.release("b")
		require.Equal(t, n, s.count(), "nothing is recorded after Close")
	})
}
