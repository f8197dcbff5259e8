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
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// meanwhile is a Caller during whose next poll something happens, before it is
// answered. Its subscribers share their polls.
type meanwhile struct {
	*local
	next atomic.Pointer[func()]
}

func (m *meanwhile) Feeds() core.Feeds { return m.table.Feeds() }

func (m *meanwhile) Deliver(ctx context.Context, id string, msg sessionproc.Message) error {
	if msg.Op() == core.OpSubscribe {
		if f := m.next.Swap(nil); f != nil {
			(*f)()
		}
	}
	return m.local.Deliver(ctx, id, msg)
}

func newMeanwhile(t testing.TB, boot uint64, kind sessionproc.AnyKind) *meanwhile {
	m := &meanwhile{}
	m.local = newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Cluster, cfg.Boot = m, boot }, kind)
	return m
}

// Whoever comes back just as the session ends gets what is left, though the others
// of its node have been told of the end by then.
func TestSubscriberBackAtTheEndGetsTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMeanwhile(t, 1, plainBoards())
		require.NoError(t, boards.Start(t.Context(), m, "a", 0))
		sub := subscribe(t, m, "a", sessionproc.SubscribeOptions{})
		at := requireValues(t, sub, 0)
		for n := 1; n <= 3; n++ {
			_, err := set.Call(t.Context(), m, "a", n)
			require.NoError(t, err)
		}
		requireValues(t, sub, 1, 2, 3)
		synctest.Wait()
		ends := func() {
			require.NoError(t, m.terminate(t.Context(), "a"))
			requireEnd(t, sub, sessionproc.ReasonTerminated)
		}
		m.next.Store(&ends)
		back := subscribe(t, m, "a", sessionproc.SubscribeOptions{After: at})
		requireValues(t, back, 1, 2, 3)
		requireEnd(t, back, sessionproc.ReasonTerminated)
	})
}

// Two copies that are merged are one more present value to all subscribers, each of
// whom gets it once, though nothing was published.
func TestSubscribersGetAMergedValueOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := newMeanwhile(t, 1, newDiaries()), newMeanwhile(t, 2, newDiaries())
		for line, m := range map[string]*meanwhile{"here": here, "there": there} {
			require.NoError(t, diaries.Start(t.Context(), m, "a", []string{line}))
			_, err := alter.Call(t.Context(), m, "a", sessionproc.None{})
			require.NoError(t, err)
		}
		subscribe := func(after sessionproc.Position) *sessionproc.Subscription[[]string] {
			sub, err := written.Subscribe(t.Context(), here, "a", sessionproc.SubscribeOptions{After: after})
			require.NoError(t, err)
			t.Cleanup(sub.Close)
			return sub
		}
		requireNext := func(sub *sessionproc.Subscription[[]string], gap bool, want ...string) sessionproc.Position {
			ctx := lasting(t, time.Minute)
			u, err := sub.Next(ctx)
			require.NoError(t, err)
			require.True(t, u.Present)
			require.Equal(t, gap, u.Gap)
			require.Equal(t, want, u.Value)
			return u.Position
		}
		sub := subscribe(sessionproc.Position{})
		at := requireNext(sub, false, "here")
		synctest.Wait()
		b, err := take(t, there.local, "a")
		require.NoError(t, err)
		meet := func() {
			met, err := here.table.Restore(part("a"), "a", b)
			require.NoError(t, err)
			require.True(t, here.table.Meet(met))
			requireNext(sub, true, "here", "there")
		}
		here.next.Store(&meet)
		back := subscribe(at)
		requireNext(back, true, "here", "there")
		synctest.Wait()
		for _, s := range []*sessionproc.Subscription[[]string]{sub, back} {
			select {
			case <-s.Ready():
				u, err := s.Next(t.Context())
				require.Fail(t, "one more value", "%+v %v", u, err)
			default:
			}
		}
	})
}

// refusing is a Caller whose answer to everything is an error.
type refusing struct{ error }

func (r refusing) Deliver(_ context.Context, id string, m sessionproc.Message) error {
	return &sessionproc.OpError{Op: m.Op().String(), ID: id, Err: r.error}
}

func TestSubscribePastItsDeadlineSaysWhatItWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		begun := time.Now()
		_, err := changed.Subscribe(t.Context(), refusing{sessionproc.ErrNoQuorum}, "a", sessionproc.SubscribeOptions{})
		require.ErrorIs(t, err, sessionproc.ErrNoQuorum)
		require.Zero(t, time.Since(begun), "nothing comes soon")

		ctx := lasting(t, time.Second)
		_, err = changed.Subscribe(ctx, refusing{sessionproc.ErrUnavailable}, "a", sessionproc.SubscribeOptions{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		require.EqualError(t, err, "sessionproc: subscribe board.changed on session "+sessionproc.LogID("a")+
			": context deadline exceeded (session unavailable)")
	})
}

// A subscriber with the token of another kind is refused, and the session goes on.
func TestASubscriptionToASessionOfAnotherKindIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := plainSharing(t)
		s.board(t, "a", 1)
		other := sessionproc.EventOf[int](sessionproc.KindOf[sessionproc.None]("another"), changed.Name())
		_, err := other.Subscribe(t.Context(), s, "a", sessionproc.SubscribeOptions{})
		require.ErrorIs(t, err, sessionproc.ErrWrongKind)
		unknown := sessionproc.EventOf[int](sessionproc.KindOf[sessionproc.None](changed.Kind()), "none")
		_, err = unknown.Subscribe(t.Context(), s, "a", sessionproc.SubscribeOptions{})
		require.ErrorIs(t, err, sessionproc.ErrUnknownMethod)
		requireValues(t, subscribe(t, s, "a", sessionproc.SubscribeOptions{}), 1)
	})
}
