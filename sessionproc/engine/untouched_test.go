package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Ways in which a second copy of a session comes about that changes nothing: of the
// snapshot of session "a", in table to.
var untouched = map[string]func(t *testing.T, to *local, b []byte){
	"restored": func(t *testing.T, to *local, b []byte) { require.NoError(t, land(to, "a", b)) },
	"promoted": func(t *testing.T, to *local, b []byte) {
		r, err := to.table.Restore(part("a"), "a", b)
		require.NoError(t, err)
		r.Renew()
		require.NoError(t, r.Insert())
	},
	"promoted twice, and moved": func(t *testing.T, to *local, b []byte) {
		for i := range 2 {
			between := bagTable(t, uint64(100+i))
			r, err := between.table.Restore(part("a"), "a", b)
			require.NoError(t, err)
			r.Renew()
			require.NoError(t, r.Insert())
			b, err = take(t, between, "a")
			require.NoError(t, err)
		}
		require.NoError(t, land(to, "a", b))
	},
	"restarted with its last state": func(t *testing.T, to *local, b []byte) {
		require.NoError(t, land(to, "a", b))
		crashIt(t, to, "a")
	},
}

// bagTable has sessions of a kind that restarts.
func bagTable(t *testing.T, boot uint64) *local {
	return newLocalWith(t, atBoot(boot),
		newPhoenixes(sessionproc.KindConfig{Restart: sessionproc.RestartLastState}, nil))
}

// meet has the session of one table meet that of another.
func meet(t *testing.T, here, there *local) {
	t.Helper()
	b, err := take(t, there, "a")
	require.NoError(t, err)
	r, err := here.table.Restore(part("a"), "a", b)
	require.NoError(t, err)
	require.True(t, here.table.Meet(r))
}

// A copy that has done nothing is covered by the one that it was made of, whatever
// its incarnation: what that has changed since goes on, without a conflict. Of two that
// have done nothing one goes on.
func TestUntouchedCopyGivesWay(t *testing.T) {
	for name, make := range untouched {
		for _, changes := range []int{0, 1, 3} {
			for _, there := range []bool{false, true} {
				t.Run(name, func(t *testing.T) {
					original, other := bagTable(t, 1), bagTable(t, 2)
					for range 5 { // the numbers of incarnations
						require.NoError(t, phoenixes.Start(t.Context(), other, sessionproc.NewID(), 0))
					}
					require.NoError(t, phoenixes.Start(t.Context(), original, "a", 5))
					feedIt(t, original, "a", 1)
					b, err := take(t, original, "a")
					require.NoError(t, err)
					original.table.Resume(part("a"), "a")
					make(t, other, b)
					for range changes {
						feedIt(t, original, "a", 10)
					}
					here, from := original, other
					if there {
						here, from = other, original
					}
					meet(t, here, from)
					got, err := peek.Call(t.Context(), here, "a", 0)
					require.NoError(t, err)
					require.Equal(t, 6+10*changes, got)
					require.Zero(t, here.table.Copies())
				})
			}
		}
	}
}

// A restart that makes a fresh state is a change, as the state of before is lost.
func TestFreshRestartIsAChange(t *testing.T) {
	l := newLocal(t, newPhoenixes(sessionproc.KindConfig{Restart: sessionproc.RestartFresh}, nil))
	require.NoError(t, phoenixes.Start(t.Context(), l, "a", 5))
	before, ok := l.table.Version(part("a"), "a")
	require.True(t, ok)
	crashIt(t, l, "a")
	require.Equal(t, 5, feedIt(t, l, "a", 0))
	after, ok := l.table.Version(part("a"), "a")
	require.True(t, ok)
	require.True(t, after.Covers(before))
	require.False(t, before.Covers(after))
}

// Whoever knew a session in an incarnation that has changed nothing finds it again.
func TestSubscribersOfAnUntouchedCopyGoOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here := plainSharing(t)
		there := newLocalWith(t, atBoot(9),
			plainBoards())
		here.board(t, "a", 1)
		b, err := take(t, here.local, "a")
		require.NoError(t, err)
		here.table.Resume(part("a"), "a")
		r, err := there.table.Restore(part("a"), "a", b)
		require.NoError(t, err)
		r.Renew()
		require.NoError(t, r.Insert())
		sub, err := changed.Subscribe(t.Context(), there, "a", sessionproc.SubscribeOptions{})
		require.NoError(t, err)
		u, err := sub.Next(t.Context())
		require.NoError(t, err)
		sub.Close()
		meet(t, here.local, there)
		here.set(t, "a", 2)
		sub = subscribe(t, here, "a", sessionproc.SubscribeOptions{After: u.Position})
		u, err = sub.Next(t.Context())
		require.NoError(t, err, "it has not ended")
		require.Equal(t, 2, u.Value)
	})
}
