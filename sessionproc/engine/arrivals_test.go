package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// newBooted is a table of scripted sessions of another boot than others.
func newBooted(t testing.TB, boot uint64) *local {
	return newLocalWith(t, atBoot(boot), script{}.make())
}

// A session that has come from another node costs what one costs that was started here,
// and is what it was: its incarnation stays, however often it moves.
func TestMovedSessionTakesNoMoreMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := newBooted(t, 1), newBooted(t, 2), newBooted(t, 3)
		for i := range 3 {
			id := fmt.Sprint("s", i)
			a.start(t, id)
			life := a.table.Life(part(id), id)
			require.Zero(t, a.table.Extra(part(id), id))
			from := a
			for _, to := range []*local{b, c, a, b} {
				travel(t, from, to, id)
				synctest.Wait()
				require.Equal(t, life, to.table.Life(part(id), id))
				require.Zero(t, to.table.Extra(part(id), id), "it has no memory of its own for where it came from")
				from = to
			}
			time.Sleep(time.Second)
		}
		require.Equal(t, 3, b.table.Arrivals(), "those that came at about the same time share it")
	})
}

// When there are no numbers left for where sessions came from, they keep it themselves.
func TestMovedSessionKeepsItsOriginWhenArrivalsAreUsedUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newBooted(t, 1), newBooted(t, 2)
		b.table.UseUpArrivals()
		a.start(t, "x")
		life := a.table.Life(part("x"), "x")
		travel(t, a, b, "x")
		require.Equal(t, life, b.table.Life(part("x"), "x"))
		require.NotZero(t, b.table.Extra(part("x"), "x"))
		time.Sleep(time.Second)
		reach, _, err := b.table.Broadcast("scripted", "note", nil, true, 2*time.Second, nil)
		require.NoError(t, err)
		require.Equal(t, sessionproc.Reach{}, reach, "it had it where it was")
	})
}
