package engine_test

import (
	"context"
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
			err := engine.SaveNow(ctx)
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
