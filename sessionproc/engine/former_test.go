package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// promote has a copy run as when the node has died that it is from.
func promote(t testing.TB, l *local, id string, b []byte) {
	t.Helper()
	r, err := l.table.Restore(part(id), id, b)
	require.NoError(t, err)
	r.Renew()
	require.NoError(t, r.Insert())
}

// A session is ended and started anew, again and again, while copies of it run elsewhere,
// change, are copied, and come back, with no node that keeps a tombstone. Of two copies of
// two lives the later life goes on, and nothing of the earlier one is in it.
func TestCopiesOfTwoLivesAreNotMerged(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const id = "a"
		var places [3]*local // lives begin and end in the first one
		var lives [3]int     // which one is there; 0: none
		for i := range places {
			places[i] = newLocalWith(t, atBoot(uint64(i+1)), newDiaries())
		}
		last := 0
		leave := func(i int) []byte {
			b, err := take(t, places[i], id)
			require.NoError(rt, err)
			places[i].table.Forget(part(id), id, nil)()
			lives[i] = 0
			return b
		}
		for range rapid.IntRange(4, 80).Draw(rt, "steps") {
			from, to := rapid.IntRange(0, 2).Draw(rt, "from"), rapid.IntRange(0, 2).Draw(rt, "to")
			what := rapid.SampledFrom([]string{"live", "live", "copy", "meet", "change"}).Draw(rt, "what")
			switch {
			case what == "live" && lives[0] > 0:
				require.NoError(rt, places[0].terminate(t.Context(), id))
				lives[0] = 0
			case what == "live":
				last++
				require.NoError(rt, diaries.Start(t.Context(), places[0], id, []string{fmt.Sprint("life ", last)}))
				lives[0] = last
			case lives[from] == 0:
			case what == "change":
				_, err := alter.Call(t.Context(), places[from], id, sessionproc.None{})
				require.NoError(rt, err)
			case from == to:
			case what == "copy" && to > 0 && lives[to] == 0:
				promote(t, places[to], id, snapshotOf(t, places[from], id))
				lives[to] = lives[from]
			case what == "meet" && lives[to] > 0 && from > 0: // else a life goes on elsewhere, and the next one begins beside it
				later := max(lives[from], lives[to])
				meetWith(t, places[to], id, leave(from))
				lives[to] = later
			}
			for i, l := range places {
				if lives[i] > 0 {
					got, err := read.Call(t.Context(), l, id, sessionproc.None{})
					require.NoError(rt, err)
					require.Equal(rt, []string{fmt.Sprint("life ", lives[i])}, got, "at %d", i)
				}
			}
		}
		for _, l := range places {
			require.Zero(rt, l.table.Copies().Merged)
		}
	})
}

// meetWith brings a copy to a session.
func meetWith(t testing.TB, l *local, id string, b []byte) {
	t.Helper()
	r, err := l.table.Restore(part(id), id, b)
	require.NoError(t, err)
	require.True(t, l.table.Meet(r))
}

// What is remembered of ended sessions is bounded, and is nothing where no copy of them
// can be: a node that only starts and ends sessions remembers none.
func TestEndIsRememberedOnlyWhereACopyCanBe(t *testing.T) {
	l := newLocalWith(t, atBoot(1), newDiaries())
	for id, copied := range map[string]bool{"a": false, "b": true} {
		require.NoError(t, diaries.Start(t.Context(), l, id, nil))
		if copied {
			snapshotOf(t, l, id)
		}
		require.NoError(t, l.terminate(t.Context(), id))
		require.Eventually(t, func() bool { return l.table.Len() == 0 }, 30*time.Second, time.Millisecond)
		require.Equal(t, copied, l.table.Former(id) != nil)
	}
}
