package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A stage does whatever a test wants in a handler.
var (
	stages = sessionproc.KindOf[sessionproc.None]("stage")
	played = sessionproc.EventOf[[]byte](stages, "played")
	play   = sessionproc.MethodOf[sessionproc.None, sessionproc.None](stages, "play")
)

func newStages(act func(ctx context.Context) error, cfg ...sessionproc.EventConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(stages, func(context.Context, sessionproc.None) (*struct{}, error) {
		return new(struct{}),
			nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleEvent(k, played, func(*struct{}) []byte { return nil }, cfg...)
	sessionproc.HandleCall(k, play, func(_ *struct{}, ctx context.Context, n sessionproc.None) (sessionproc.None, error) {
		return n, act(ctx)
	})
	return k
}

func TestPublishAfterTheEndIsAnError(t *testing.T) {
	var kept context.Context
	l := newLocal(t, newStages(func(ctx context.Context) error {
		kept = ctx
		return played.Publish(ctx, []byte("now"))
	}))
	require.NoError(t, stages.Start(t.Context(), l, "a", sessionproc.None{}))
	_, err := play.Call(t.Context(), l, "a", sessionproc.None{})
	require.NoError(t, err)
	require.NoError(t, played.Publish(kept, []byte("later")))

	_, err = take(t, l, "a")
	require.NoError(t, err)
	require.ErrorIs(t, played.Publish(kept, []byte("sealed")), sessionproc.ErrNotFound)
	l.table.Resume(part("a"), "a")
	require.NoError(t, played.Publish(kept, []byte("resumed")))

	require.NoError(t, l.terminate(t.Context(), "a"))
	require.ErrorIs(t, played.Publish(kept, []byte("too late")), sessionproc.ErrNotFound)
}

func TestPublishRefusesWhatIsTooLarge(t *testing.T) {
	l := newLocalWith(t, func(cfg *engine.TableConfig) { cfg.MaxMessage = 1000 },
		newStages(func(ctx context.Context) error {
			require.NoError(t, played.Publish(ctx, make([]byte, 800)))
			require.ErrorIs(t, played.Publish(ctx, make([]byte, 900)), sessionproc.ErrBadRequest)
			require.Panics(t, func() { _ = changed.Publish(ctx, 1) }, "an event of another kind")
			return nil
		}))
	require.NoError(t, stages.Start(t.Context(), l, "a", sessionproc.None{}))
	_, err := play.Call(t.Context(), l, "a", sessionproc.None{})
	require.NoError(t, err)
}

// A handler that publishes and watches can be tested by itself.
func TestDetachedSessionPublishesAndWatches(t *testing.T) {
	d := engine.NewDetached(engine.DetachedConfig{ID: "a"})
	defer d.End()
	require.NoError(t, changed.Publish(d.Context(), 1))
	sessionproc.Watch(d.Context(), "b", heard)
	require.False(t, sessionproc.Unwatch(d.Context(), "b", heard), "it watches nothing")
}

func TestKindWithAnInvalidEventIsRefused(t *testing.T) {
	bad := newStages(nil, sessionproc.EventConfig{Keep: -1})
	_, err := engine.NewTable(engine.TableConfig{Partitions: 1, Kinds: []sessionproc.AnyKind{bad}})
	require.ErrorContains(t, err, "Keep")

	kind := sessionproc.KindOf[sessionproc.None]("unbound")
	sessionproc.EventOf[chan int](kind, "news")
	k := sessionproc.NewKind(kind, func(context.Context, sessionproc.None) (*struct{}, error) {
		return new(struct{}),
			nil
	}, sessionproc.KindConfig{})
	_, err = engine.NewTable(engine.TableConfig{Partitions: 1, Kinds: []sessionproc.AnyKind{k}})
	require.ErrorContains(t, err, `"news" has no handler`)
}

// What a session keeps is bounded in bytes, and a value that is larger stays when
// the session moves.
func TestKeptEventsAreBoundedInBytes(t *testing.T) {
	size := 10
	act := func(ctx context.Context) error { return played.Publish(ctx, make([]byte, size)) }
	cfg := sessionproc.EventConfig{KeepBytes: 1000}
	a, b := newLocal(t, newStages(act, cfg)), newLocal(t, newStages(act, cfg))
	require.NoError(t, stages.Start(t.Context(), a, "a", sessionproc.None{}))
	sub, err := played.Subscribe(t.Context(), a, "a", sessionproc.SubscribeOptions{})
	require.NoError(t, err)
	first, err := sub.Next(t.Context())
	require.NoError(t, err)
	sub.Close()
	publish := func(l *local, n int) {
		size = n
		_, err := play.Call(t.Context(), l, "a", sessionproc.None{})
		require.NoError(t, err)
	}
	after := func(l *local, offset uint64) sessionproc.Update[[]byte] {
		sub, err := played.Subscribe(t.Context(), l, "a", sessionproc.SubscribeOptions{
			After: sessionproc.Position{Incarnation: first.Position.Incarnation, Offset: offset}})
		require.NoError(t, err)
		defer sub.Close()
		u, err := sub.Next(t.Context())
		require.NoError(t, err)
		return u
	}
	publish(a, 600)
	publish(a, 600)
	require.True(t, after(a, 0).Gap)
	require.False(t, after(a, 1).Gap)
	publish(a, 5000)
	require.Len(t, after(a, 2).Value, 5000)
	travel(t, a, b, "a")
	u := after(b, 2)
	require.True(t, u.Gap && u.Present)
	require.EqualValues(t, 3, u.Position.Offset)
}

func BenchmarkPublish(b *testing.B) {
	value := make([]byte, 64)
	l := newLocal(b, newStages(func(ctx context.Context) error {
		for b.Loop() {
			if err := played.Publish(ctx, value); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(b, stages.Start(b.Context(), l, "a", sessionproc.None{}))
	b.ReportAllocs()
	ctx, cancel := context.WithCancel(b.Context()) // the 15 s of a call without a deadline may be too short
	defer cancel()
	_, err := play.Call(ctx, l, "a", sessionproc.None{})
	require.NoError(b, err)
}

func TestCtxEndsASubscription(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := plainSharing(t)
		s.board(t, "a", 1)
		for _, c := range []sessionproc.Caller{s, s.local} {
			ctx, cancel := context.WithCancel(t.Context())
			sub, err := changed.Subscribe(ctx, c, "a", sessionproc.SubscribeOptions{})
			require.NoError(t, err)
			requireValues(t, sub, 1)
			cancel()
			_, err = sub.Next(t.Context())
			require.ErrorIs(t, err, context.Canceled)
		}
		sub := subscribe(t, s, "a", sessionproc.SubscribeOptions{})
		for u, err := range sub.All(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, 1, u.Value)
			break
		}
		short := lasting(t, time.Second)
		_, err := sub.Next(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		s.set(t, "a", 2)
		requireValues(t, sub, 2)
	})
}
