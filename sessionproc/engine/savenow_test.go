package engine_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Code that cannot save is told so at once, and does not wait.
func TestWhatCannotSave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, said := t.Context(), map[string]error{}
		var left context.Context
		note := func(what string, ctx context.Context) { said[what] = sessionproc.FromContext(ctx).Save(ctx) }
		k := sessionproc.NewKind(shops, func(ctx context.Context, _ int) (*shop, error) {
			note("start", ctx)
			return &shop{}, nil
		}, sessionproc.KindConfig{Replicas: 1})
		k.OnEnd(func(_ *shop, ctx context.Context, _ sessionproc.Reason) { note("end", ctx) })
		k.OnArrive(func(_ *shop, ctx context.Context, _ sessionproc.Arrival) error { note("arrive", ctx); return nil })
		sessionproc.HandleCall(k, shopRun, func(_ *shop, ctx context.Context, _ string) (int, error) {
			note("handler", ctx)
			said["other ctx"] = sessionproc.FromContext(ctx).Save(t.Context())
			left = ctx
			return 0, nil
		})
		bindRest(k)
		l, s := newKept(t, 0, k)
		require.NoError(t, shops.Start(ctx, l, "a", 0))
		promoteFrom(t, l, "b", engine.Copy{Body: s.lastOf("a").Body})
		synctest.Wait()
		_, err := shopRun.Call(ctx, l, "a", "")
		require.NoError(t, err)
		note("left behind", left)
		require.NoError(t, l.terminate(ctx, "a"))
		require.NoError(t, said["handler"])
		require.ErrorContains(t, said["start"], "start function")
		require.ErrorContains(t, said["arrive"], "OnArrive")
		require.ErrorContains(t, said["end"], "Session.Save")
		require.ErrorContains(t, said["other ctx"], "outside of a handler")
		require.ErrorContains(t, said["left behind"], "outside of a handler")
	})
}

// bindRest binds the tokens of a shop that a test does not need.
func bindRest(k *sessionproc.Kind[shop, int]) {
	add := func(s *shop, _ context.Context, n int) (int, error) { s.N += n; return s.N, nil }
	sessionproc.HandleCall(k, shopAdd, add)
	sessionproc.HandleCall(k, shopPeek, add)
	sessionproc.HandleCall(k, shopGet, func(s *shop, _ context.Context, _ sessionproc.None) (int, error) {
		return s.N, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCast(k, shopBump, func(*shop, context.Context, int) error { return nil })
	sessionproc.HandleCast(k, shopTick, func(*shop, context.Context, string) error { return nil })
	sessionproc.HandleCast(k, shopEnded, func(*shop, context.Context, sessionproc.Ended) error { return nil })
	sessionproc.HandleEvent(k, shopTotal, func(s *shop) int { return s.N })
}

// A kind without standbys has nothing to wait for; nor has a table without.
func TestASaveWithoutStandbys(t *testing.T) {
	run := func(ctx context.Context, _ *shop, _ string) error { return sessionproc.FromContext(ctx).Save(ctx) }
	l := newLocal(t, shopCode{run: run}.make())
	require.NoError(t, shops.Start(t.Context(), l, "a", 0))
	_, err := shopRun.Call(t.Context(), l, "a", "")
	require.NoError(t, err)
	replicas, least := l.table.Replicas("shop")
	require.Zero(t, replicas+least)
	require.False(t, l.table.Replicated(part("a"), "a"))
}

// A handler that saves while its session is sealed for a move does so: the move waits for the handler.
func TestAHandlerSavesInASealedSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, hold := t.Context(), make(chan struct{})
		l, s := newKept(t, never, shopCode{run: func(ctx context.Context, s *shop, _ string) error {
			<-hold
			s.N = 7
			return sessionproc.FromContext(ctx).Save(ctx)
		}}.make())
		startShop(t, l, s, "a")
		require.True(t, l.table.Replicated(part("a"), "a"))
		run := asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "") })
		synctest.Wait()
		moved := make(chan []byte, 1)
		require.True(t, l.table.Seal(part("a"), "a", sessionproc.ErrUnavailable, func() bool { return true },
			func(b []byte, err error) { require.NoError(t, err); moved <- b }))
		close(hold)
		requireWaits(t, run, "a handler that saves")
		require.Empty(t, moved)
		s.release("a")
		synctest.Wait()
		require.Len(t, moved, 1)
		require.Equal(t, 7, requireAnswered(t, getting(ctx, revive(t, s, "a", shopCode{}), "a"), "it").n)
		l.table.Forget(part("a"), "a", nil)()
		require.NoError(t, requireAnswered(t, run, "the handler").err)
	})
}

// A handler whose session is ended while it saves goes on.
func TestAnEndWhileAHandlerSaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, said := t.Context(), make(chan error, 1)
		l, s := newKept(t, never, shopCode{run: func(ctx context.Context, _ *shop, _ string) error {
			said <- sessionproc.FromContext(ctx).Save(ctx)
			return nil
		}}.make())
		startShop(t, l, s, "a")
		_ = asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "") })
		synctest.Wait()
		ended := failing(func() error { return l.terminate(ctx, "a") })
		synctest.Wait()
		require.Error(t, <-said)
		s.release("a")
		synctest.Wait()
		s.release("a")
		require.NoError(t, requireAnswered(t, ended, "the end").err)
	})
}

// The node of a handler with a key dies after the handler has saved what it did so far. It has begun, and
// nobody knows what it would have replied: it does not run again. If the node lives, the reply is kept.
func TestAHandlerThatHasSavedDoesNotRunAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, hold, runs := sessionproc.WithKey(t.Context(), "k"), make(chan struct{}), 0
		code := shopCode{run: func(ctx context.Context, s *shop, _ string) error {
			runs++
			s.N++
			err := sessionproc.FromContext(ctx).Save(ctx)
			<-hold
			return err
		}}
		l, s := newKept(t, 0, code.make())
		require.NoError(t, shops.Start(ctx, l, "a", 0))
		run := asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "") })
		synctest.Wait()
		saved := s.lastOf("a")
		saved.Body = slices.Clone(saved.Body)
		close(hold)
		require.Equal(t, 1, requireAnswered(t, run, "the handler").n)
		synctest.Wait()

		for name, want := range map[string]struct {
			body []byte
			err  error
		}{"in the midst": {saved.Body, sessionproc.ErrReplied}, "at the end": {s.lastOf("a").Body, nil}} {
			other, _ := newKept(t, 0, code.make())
			promoteFrom(t, other, "a", engine.Copy{Body: want.body})
			n, err := shopRun.Call(ctx, other, "a", "")
			require.ErrorIs(t, err, want.err, name)
			if err == nil {
				require.Equal(t, 1, n, name)
			} else {
				require.True(t, sessionproc.MaybeExecuted(err), name)
			}
			require.Equal(t, 1, runs, name)
		}
	})
}
