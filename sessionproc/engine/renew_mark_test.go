package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func TestMarkOfARenewedSessionMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to, _ := twoOwners(t, sessionproc.KindConfig{MaxSessions: 1})
		require.NoError(t, from.renew(t.Context(), "old", "new"))
		time.Sleep(20 * time.Second)

		_, err := take(t, from, "old")
		require.NoError(t, err)
		requireRenewed(t, from, "old")
		from.table.Resume(part("old"), "old")
		requireRenewed(t, from, "old")

		travel(t, from, to, "old")
		require.Zero(t, from.table.Entries())
		require.Equal(t, 2, to.table.Entries(), "the session, and the mark, for which there is room")
		requireRenewed(t, to, "old")
		require.NoError(t, to.renew(t.Context(), "old", "new"), "a request that comes again where the mark is now")
		time.Sleep(39 * time.Second)
		requireRenewed(t, to, "old")
		time.Sleep(1100 * time.Millisecond)
		require.Equal(t, 1, to.table.Entries())
		require.False(t, to.started(t, "old"))
		require.Equal(t, 1, to.table.Live("cart"))
	})
}

func TestMarkDueDuringAMoveEndsOnceItIsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, _, _ := twoOwners(t, sessionproc.KindConfig{})
		require.NoError(t, from.renew(t.Context(), "old", "new"))
		_, err := take(t, from, "old")
		require.NoError(t, err)
		time.Sleep(70 * time.Second)
		require.Equal(t, 1, from.table.Entries())
		from.table.Resume(part("old"), "old")
		synctest.Wait()
		require.Zero(t, from.table.Entries())
	})
}

// A copy of the session on the other side of a partition has changed meanwhile.
func TestMarkWinsOverEveryCopy(t *testing.T) {
	for _, row := range []struct{ what, here string }{{"the mark is here", "mark"}, {"the copy is here", "copy"}} {
		t.Run(row.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				from, other, _ := twoOwners(t, sessionproc.KindConfig{})
				before, err := take(t, from, "old")
				require.NoError(t, err)
				split, err := other.table.Restore(part("old"), "old", before)
				require.NoError(t, err)
				split.Renew()
				require.NoError(t, split.Insert())
				from.table.Resume(part("old"), "old")
				require.NoError(t, remark.Cast(t.Context(), other, "old", "changed"))
				require.NoError(t, from.renew(t.Context(), "old", "new"))
				synctest.Wait()

				home, guest := from, other
				if row.here == "copy" {
					home, guest = other, from
				}
				b, err := take(t, guest, "old")
				require.NoError(t, err)
				guest.table.Forget(part("old"), "old", nil)()
				r, err := home.table.Restore(part("old"), "old", b)
				require.NoError(t, err)
				require.True(t, home.table.Meet(r))
				synctest.Wait()
				requireRenewed(t, home, "old")
				require.EqualValues(t, 1, home.table.Copies().Conflicts)
				v, _ := home.table.Version(part("old"), "old")
				for _, other := range [][]byte{before, b} {
					seen, err := engine.SnapshotVersion(other)
					require.NoError(t, err)
					require.True(t, v.Covers(seen))
				}
				time.Sleep(61 * time.Second)
				require.False(t, home.started(t, "old"))
				require.Equal(t, "tea,10s", lookAt(t, other, "new"))
			})
		})
	}
}

func TestShutdownEndsMarks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to, _ := twoOwners(t, sessionproc.KindConfig{})
		require.NoError(t, from.renew(t.Context(), "old", "new"))
		require.NoError(t, from.table.Shutdown(t.Context(), sessionproc.ReasonClosed))
		require.NoError(t, to.table.Shutdown(t.Context(), sessionproc.ReasonClosed))
		requireNothingLeft(t, from)
		requireNothingLeft(t, to)
	})
}

func TestSubscribersHearThatASessionIsRenewed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := plainSharing(t)
		s.board(t, "old", 1)
		s.board(t, "watcher", 0)
		_, err := watch.Call(t.Context(), s, "watcher", "old")
		require.NoError(t, err)
		_, err = watch.Call(t.Context(), s, "old", "watcher")
		require.NoError(t, err)
		sub := subscribe(t, s, "old", sessionproc.SubscribeOptions{})
		s.set(t, "old", 2)
		require.NoError(t, s.renew(t.Context(), "old", "new"))
		_, err = sub.Next(t.Context())
		require.NoError(t, err)
		u, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, u.Value)
		ended := new(sessionproc.Ended)
		_, err = sub.Next(t.Context())
		require.ErrorAs(t, err, &ended)
		require.Equal(t, sessionproc.ReasonRenewed, ended.Reason)
		_, err = changed.Subscribe(t.Context(), s, "old", sessionproc.SubscribeOptions{})
		require.ErrorIs(t, err, sessionproc.ErrRenewed)

		next := subscribe(t, s, "new", sessionproc.SubscribeOptions{})
		s.set(t, "new", 3)
		for _, want := range []int{2, 3} {
			u, err := next.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, u.Value)
		}
		_, err = watch.Call(t.Context(), s, "watcher", "old")
		require.NoError(t, err)
		time.Sleep(time.Second)
		ends, err := reports.Call(t.Context(), s, "watcher", sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []string{"old renewed", "old renewed"}, ends)

		require.NoError(t, s.terminate(t.Context(), "watcher"))
		time.Sleep(time.Second)
		ends, err = reports.Call(t.Context(), s, "new", sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []string{"watcher terminated"}, ends, "what it watches it watches on")
	})
}

func TestMovedMarkTellsSubscribersOfTheRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, other := plainSharing(t), plainSharing(t)
		s.board(t, "old", 1)
		sub := subscribe(t, s, "old", sessionproc.SubscribeOptions{})
		u, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.renew(t.Context(), "old", "new"))
		travel(t, s.local, other.local, "old")
		after, err := changed.Subscribe(t.Context(), other, "old", sessionproc.SubscribeOptions{After: u.Position})
		if err == nil {
			_, err = after.Next(t.Context())
		}
		require.ErrorIs(t, err, sessionproc.ErrRenewed)
	})
}
