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

// pair is two tables; home is where the sessions of both are to be found, as seen
// by all subscribers.
type pair struct {
	a, b *sharing
	home atomic.Pointer[sharing]
	at   *sharing // whose subscribers ask
}

func (c *pair) Feeds() core.Feeds { return c.at.table.Feeds() }

// Deliver asks again as package node does while a session is on its way, and where the
// table that was asked had given it away by then.
func (c *pair) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	for {
		home := c.home.Load()
		err := home.local.Deliver(ctx, id, m)
		if op, ok := err.(*sessionproc.OpError); (!ok || op.Err != errAway) && home == c.home.Load() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// newPair makes two tables of boards whose sessions reach all sessions at home.
func newPair(t testing.TB, event sessionproc.EventConfig) *pair {
	c := &pair{}
	for boot, s := range []**sharing{&c.a, &c.b} {
		*s = sharingWith(t, func(cfg *engine.TableConfig) { cfg.Cluster, cfg.Boot = c, uint64(boot+1) },
			newBoards(sessionproc.KindConfig{}, event))
	}
	c.at = c.a
	c.home.Store(c.a)
	return c
}

// move has a session move from a to b, or back.
func (c *pair) move(t testing.TB, ids ...string) {
	from, to := c.a, c.b
	if c.home.Load() == c.b {
		from, to = to, from
	}
	for _, id := range ids {
		b, err := take(t, from.local, id)
		require.NoError(t, err)
		require.NoError(t, land(to.local, id, b))
	}
	c.home.Store(to)
	for _, id := range ids {
		from.table.Forget(part(id), id, nil)()
	}
}

func TestSubscriptionGoesOnWhereTheSessionMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newPair(t, sessionproc.EventConfig{})
		c.a.board(t, "a", 0)
		sub := subscribe(t, c, "a", sessionproc.SubscribeOptions{})
		c.a.set(t, "a", 1, 2)
		at := requireValues(t, sub, 0, 1, 2)
		c.move(t, "a")
		c.b.set(t, "a", 3, 4)
		requireValues(t, sub, 3, 4)
		c.move(t, "a")
		c.a.set(t, "a", 5)
		last := requireValues(t, sub, 5)
		require.Equal(t, at.Incarnation, last.Incarnation)
		require.EqualValues(t, 5, last.Offset)
		requireValues(t, subscribe(t, c, "a", sessionproc.SubscribeOptions{After: at}), 3, 4, 5)
		require.NoError(t, c.a.terminate(t.Context(), "a"))
		requireEnd(t, sub, sessionproc.ReasonTerminated)
	})
}

// What was published while nobody asked moves with the session, as much of it as it
// keeps.
func TestPublishedEventsMoveWithTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newPair(t, sessionproc.EventConfig{Keep: 3})
		c.a.board(t, "a", 0)
		sub := subscribe(t, c, "a", sessionproc.SubscribeOptions{})
		at := requireValues(t, sub, 0)
		sub.Close()
		synctest.Wait()
		c.a.set(t, "a", 1, 2, 3)
		c.move(t, "a")
		requireValues(t, subscribe(t, c, "a", sessionproc.SubscribeOptions{After: at}), 1, 2, 3)
		c.b.set(t, "a", 4)
		c.move(t, "a")
		u, err := subscribe(t, c, "a", sessionproc.SubscribeOptions{After: at}).Next(t.Context())
		require.NoError(t, err)
		require.True(t, u.Gap && u.Present)
		require.Equal(t, 4, u.Value)
	})
}

// A session that ends as soon as it has moved tells it to who is on the way there.
func TestEndRightAfterAMoveReachesSubscribers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newPair(t, sessionproc.EventConfig{})
		c.a.board(t, "a", 0)
		sub := subscribe(t, c, "a", sessionproc.SubscribeOptions{})
		requireValues(t, sub, 0)
		synctest.Wait()
		b, err := take(t, c.a.local, "a")
		require.NoError(t, err)
		require.NoError(t, land(c.b.local, "a", b))
		c.b.set(t, "a", 1)
		require.NoError(t, c.b.terminate(t.Context(), "a"))
		c.a.table.Forget(part("a"), "a", nil)()
		c.home.Store(c.b)
		requireValues(t, sub, 1)
		requireEnd(t, sub, sessionproc.ReasonTerminated)
	})
}

func TestSealedSessionThatRunsOnKeepsItsSubscribersAndWatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newPair(t, sessionproc.EventConfig{})
		c.a.board(t, "a", 0)
		c.a.board(t, "w", 0)
		_, err := watch.Call(t.Context(), c.a, "w", "a")
		require.NoError(t, err)
		sub := subscribe(t, c, "a", sessionproc.SubscribeOptions{})
		requireValues(t, sub, 0)
		for _, id := range []string{"a", "w"} {
			_, err := take(t, c.a.local, id)
			require.NoError(t, err)
			time.Sleep(time.Second)
			c.a.table.Resume(part(id), id)
		}
		c.a.set(t, "a", 1)
		requireValues(t, sub, 1)
		require.NoError(t, c.a.terminate(t.Context(), "a"))
		requireEnd(t, sub, sessionproc.ReasonTerminated)
		requireReports(t, c.a, "w", "a terminated")
	})
}

func requireReports(t testing.TB, c sessionproc.Caller, id string, want ...string) {
	t.Helper()
	synctest.Wait()
	told, err := reports.Call(t.Context(), c, id, sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, want, told)
}

func TestWatchMovesWithItsSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newPair(t, sessionproc.EventConfig{})
		for _, id := range []string{"a", "b", "w"} {
			c.a.board(t, id, 0)
		}
		for _, id := range []string{"a", "b", "missing", "no ID"} {
			_, err := watch.Call(t.Context(), c.a, "w", id)
			require.NoError(t, err)
			synctest.Wait()
		}
		requireReports(t, c.a, "w", "missing lost", "no ID lost")

		// One ends while the watcher is nowhere.
		b, err := take(t, c.a.local, "w")
		require.NoError(t, err)
		require.NoError(t, c.a.terminate(t.Context(), "a"))
		time.Sleep(time.Second)
		require.NoError(t, land(c.b.local, "w", b))
		c.a.table.Forget(part("w"), "w", nil)()
		time.Sleep(time.Second)
		requireReports(t, c.b, "w", "missing lost", "no ID lost", "a terminated")

		// The other one has moved, and ends where the watcher is.
		c.move(t, "b")
		require.NoError(t, c.b.terminate(t.Context(), "b"))
		time.Sleep(time.Second)
		requireReports(t, c.b, "w", "missing lost", "no ID lost", "a terminated", "b terminated")
	})
}

// Of two copies that have both changed one ends, and its subscribers are told; those
// of the other one go on.
func TestSubscribersOfALostCopyAreToldOfTheConflict(t *testing.T) {
	for _, wins := range []string{"here", "there"} {
		t.Run(wins, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here, there := sharingWith(t, atBoot(1), plainBoards()), sharingWith(t, atBoot(2), plainBoards())
				if wins == "here" { // the higher incarnation goes on
					here.board(t, "other", 0)
				} else {
					there.board(t, "other", 0)
				}
				here.board(t, "a", 1)
				there.board(t, "a", 2)
				sub := subscribe(t, here, "a", sessionproc.SubscribeOptions{})
				requireValues(t, sub, 1)
				gone := subscribe(t, there, "a", sessionproc.SubscribeOptions{})
				at := requireValues(t, gone, 2)
				gone.Close()
				synctest.Wait()

				b, err := take(t, there.local, "a")
				require.NoError(t, err)
				met, err := here.table.Restore(part("a"), "a", b)
				require.NoError(t, err)
				require.True(t, here.table.Meet(met))
				there.table.Forget(part("a"), "a", nil)()
				synctest.Wait()
				require.EqualValues(t, 1, here.table.Copies().Conflicts)
				here.set(t, "a", 3)
				back := subscribe(t, here, "a", sessionproc.SubscribeOptions{After: at})
				if wins == "there" {
					requireEnd(t, sub, sessionproc.ReasonConflict)
					requireValues(t, back, 3)
					return
				}
				requireValues(t, sub, 3)
				u, err := back.Next(t.Context())
				require.NoError(t, err)
				require.True(t, u.Gap && u.Present)
			})
		})
	}
}

// A session that restarts after a crash goes on for its subscribers, after a gap.
func TestSubscribersGoOnAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSharing(t, sessionproc.KindConfig{Restart: sessionproc.RestartFresh}, sessionproc.EventConfig{})
		s.board(t, "a", 5)
		sub := subscribe(t, s, "a", sessionproc.SubscribeOptions{})
		s.set(t, "a", 6)
		at := requireValues(t, sub, 5, 6)
		synctest.Wait()
		_, err := blow.Call(t.Context(), s, "a", sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		u, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.True(t, u.Gap && u.Present)
		require.Equal(t, 5, u.Value)
		require.NotEqual(t, at.Incarnation, u.Position.Incarnation)
		s.set(t, "a", 7)
		requireValues(t, sub, 7)
	})
}
