package integration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func (p place) startBoard(t testing.TB, n int) string {
	t.Helper()
	id := p.id(t)
	require.NoError(t, boards.Start(t.Context(), p.from, id, n))
	return id
}

func (p place) show(t testing.TB, id string, count int) {
	t.Helper()
	for range count {
		_, err := show.Call(t.Context(), p.from, id, 1)
		require.NoError(t, err)
	}
}

func subscribe[T any](t testing.TB, c sessionproc.Caller, id string, e *sessionproc.Event[T],
	o sessionproc.SubscribeOptions) *sessionproc.Subscription[T] {
	t.Helper()
	sub, err := e.Subscribe(t.Context(), c, id, o)
	require.NoError(t, err)
	t.Cleanup(sub.Close)
	return sub
}

// requireNext wants the numbers from first to last, in order and without a gap.
func requireNext(t testing.TB, sub *sessionproc.Subscription[int], first, last int) (at sessionproc.Position) {
	t.Helper()
	for n := first; n <= last; n++ {
		u, err := sub.Next(within(t, 30*time.Second))
		require.NoError(t, err)
		require.Equal(t, n, u.Value)
		require.False(t, u.Gap, "a gap before %d", n)
		at = u.Position
	}
	return at
}

func requireEnd[T any](t testing.TB, sub *sessionproc.Subscription[T], id string, reason sessionproc.Reason) {
	t.Helper()
	_, err := sub.Next(within(t, 30*time.Second))
	end, ok := errors.AsType[*sessionproc.Ended](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, sessionproc.Ended{ID: id, Reason: reason}, *end)
}

func TestAcceptance35_PresentValueThenEachChangeInOrder(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startBoard(t, 10)
		var subs []*sessionproc.Subscription[int]
		for _, m := range p.all() {
			for range 3 {
				subs = append(subs, subscribe(t, m, id, shown, sessionproc.SubscribeOptions{Buffer: 1000}))
			}
		}
		p.show(t, id, 20)
		moved := p.beginMove(t)
		p.show(t, id, 20)
		moved()
		p.show(t, id, 20)
		for _, sub := range subs {
			at := requireNext(t, sub, 10, 70)
			require.EqualValues(t, 60, at.Offset)
			sub.Close()
			_, err := sub.Next(t.Context())
			require.ErrorIs(t, err, sessionproc.ErrUnsubscribed)
		}
		p.show(t, id, 1)
		_, err := subs[0].Next(t.Context())
		require.ErrorIs(t, err, sessionproc.ErrUnsubscribed, "none after Close")
	})
}

func TestAcceptance35_SubscriberThatComesBackMissesNothing(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startBoard(t, 0)
		sub := subscribe(t, p.from, id, shown, sessionproc.SubscribeOptions{})
		p.show(t, id, 1)
		at := requireNext(t, sub, 0, 1)
		sub.Close()
		p.show(t, id, 10)
		p.move(t)
		p.show(t, id, 10)
		back := subscribe(t, p.from, id, shown, sessionproc.SubscribeOptions{After: at})
		require.EqualValues(t, 21, requireNext(t, back, 2, 21).Offset)

		p.show(t, id, 100) // more than it keeps
		late := subscribe(t, p.from, id, shown, sessionproc.SubscribeOptions{After: at})
		u, err := late.Next(t.Context())
		require.NoError(t, err)
		require.True(t, u.Gap)
		require.Equal(t, 121, u.Value)
	})
}

func TestAcceptance35_SubscriberThatDoesNotReadHarmsNobody(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startBoard(t, 0)
		idle := subscribe(t, p.from, id, shown, sessionproc.SubscribeOptions{})
		newest := subscribe(t, p.from, id, shown, sessionproc.SubscribeOptions{Buffer: 1})
		reads := subscribe(t, p.from, id, shown, sessionproc.SubscribeOptions{})
		requireNext(t, reads, 0, 0)
		moved := p.beginMove(t)
		for n := 1; n <= 300; n++ {
			p.show(t, id, 1)
			requireNext(t, reads, n, n)
		}
		moved()
		last := 0
		for _, sub := range []*sessionproc.Subscription[int]{idle, newest} {
			for first := true; last < 300; first = false {
				u, err := sub.Next(within(t, 10*time.Second))
				require.NoError(t, err)
				require.Equal(t, first, u.Gap, "at %d", u.Value)
				require.Greater(t, u.Value, last)
				last = u.Value
			}
			last = 0
		}
	})
}

func TestAcceptance35_SelectorThatPanicsHarmsNobody(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startBoard(t, -5)
		p.move(t)
		_, err := shown.Subscribe(t.Context(), p.from, id, sessionproc.SubscribeOptions{})
		require.ErrorContains(t, err, "panicked")
		p.show(t, id, 5)
		requireNext(t, subscribe(t, p.from, id, shown, sessionproc.SubscribeOptions{}), -0, 0)
	})
}

func TestAcceptance35_SubscribeToAMissingSessionIsNotFound(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		_, err := shown.Subscribe(t.Context(), p.from, p.id(t), sessionproc.SubscribeOptions{})
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		_, err = shown.Subscribe(t.Context(), p.from, "a b", sessionproc.SubscribeOptions{})
		require.ErrorIs(t, err, sessionproc.ErrInvalidID)
		id := p.startCounter(t, 1)
		p.move(t)
		_, err = shown.Subscribe(t.Context(), p.from, id, sessionproc.SubscribeOptions{})
		require.ErrorIs(t, err, sessionproc.ErrWrongKind)
	})
}

// A fault of the original: an end is not announced.
func TestAcceptance35_EachEndArrivesWithItsReason(t *testing.T) {
	ways := []struct {
		reason sessionproc.Reason
		end    func(ctx context.Context, c sessionproc.Caller, id string) error
	}{
		{sessionproc.ReasonStopped, func(ctx context.Context, c sessionproc.Caller, id string) error {
			_, err := closeUp.Call(ctx, c, id, "")
			return err
		}},
		{"closing time", func(ctx context.Context, c sessionproc.Caller, id string) error {
			_, err := closeUp.Call(ctx, c, id, "closing time")
			return err
		}},
		{sessionproc.ReasonTerminated, func(ctx context.Context, c sessionproc.Caller, id string) error {
			return c.(*member).Terminate(ctx, id)
		}},
		{sessionproc.ReasonCrashed, func(ctx context.Context, c sessionproc.Caller, id string) error {
			_, err := smash.Call(ctx, c, id, sessionproc.None{})
			if errors.Is(err, sessionproc.ErrCrashed) {
				return nil
			}
			return errors.Join(errors.New("it has not crashed"), err)
		}},
	}
	eachPlace(t, func(t *testing.T, p place) {
		watcher := p.startBoard(t, 0)
		ids := make([]string, len(ways))
		var subs []*sessionproc.Subscription[int]
		for i := range ways {
			ids[i] = p.startBoard(t, i)
			_, err := mind.Call(t.Context(), p.from, watcher, ids[i])
			require.NoError(t, err)
			subs = append(subs, subscribe(t, p.from, ids[i], shown, sessionproc.SubscribeOptions{}))
		}
		flicker := p.id(t)
		require.NoError(t, flickers.Start(t.Context(), p.from, flicker, sessionproc.None{}))
		expires := subscribe(t, p.from, flicker, flickered, sessionproc.SubscribeOptions{})
		_, err := mind.Call(t.Context(), p.from, watcher, flicker)
		require.NoError(t, err)
		p.move(t)
		var want []sessionproc.Ended
		for i, way := range ways {
			require.NoError(t, way.end(t.Context(), p.from, ids[i]))
			requireNext(t, subs[i], i, i)
			requireEnd(t, subs[i], ids[i], way.reason)
			want = append(want, sessionproc.Ended{ID: ids[i], Reason: way.reason})
		}
		_, err = expires.Next(t.Context())
		require.NoError(t, err)
		requireEnd(t, expires, flicker, sessionproc.ReasonExpired)
		want = append(want, sessionproc.Ended{ID: flicker, Reason: sessionproc.ReasonExpired})

		var told []sessionproc.Ended
		require.Eventually(t, func() bool {
			told, err = obits.Call(t.Context(), p.from, watcher, sessionproc.None{})
			return err == nil && len(told) == len(want)
		}, 30*time.Second, time.Millisecond, "the watcher hears of each end")
		require.ElementsMatch(t, want, told)
	})
}
