package ring_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/ring"
)

func TestDiffTurnsOneTableIntoTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		old, new := newRing(t, cfg, drawSet(t)...), newRing(t, cfg, drawSet(t)...)
		table := owners(old)
		for _, m := range ring.Diff(old, new) {
			require.NotEqual(t, m.From, m.To)
			require.Equal(t, m.From, table[m.Partition])
			table[m.Partition] = m.To
		}
		require.Equal(t, owners(new), table)
	})
}

func TestDiffWithAnEmptyRingMovesEverything(t *testing.T) {
	one, none := newRing(t, ring.Config{Partitions: 3}, "a"), newRing(t, ring.Config{Partitions: 3})
	appear := []ring.Move{{0, "", "a"}, {1, "", "a"}, {2, "", "a"}}
	vanish := []ring.Move{{0, "a", ""}, {1, "a", ""}, {2, "a", ""}}
	require.Equal(t, appear, ring.Diff(none, one))
	require.Equal(t, appear, ring.Diff(nil, one))
	require.Equal(t, vanish, ring.Diff(one, none))
	require.Equal(t, vanish, ring.Diff(one, nil))
	require.Nil(t, ring.Diff(one, one))
	require.Nil(t, ring.Diff(nil, nil))
}

func TestDiffOfRingsThatCannotBeComparedPanics(t *testing.T) {
	require.Panics(t, func() {
		ring.Diff(newRing(t, ring.Config{Partitions: 3}, "a"), newRing(t, ring.Config{Partitions: 5}, "a"))
	})
}

// The promise of the package: adding a member to 10 moves at most 12 % of the
// partitions, and at most 1 % between members that stay. Means over several sets,
// since single ones scatter.
func TestAddingAMemberMovesLittle(t *testing.T) {
	const sets = 20
	var moved, stray float64
	for set := range sets {
		before := slots(10, fmt.Sprintf("web-%d-", set)+"%d:7946")
		added := fmt.Sprintf("new-%d:7946", set)
		old, new := newRing(t, ring.Config{}, before...), newRing(t, ring.Config{}, append(before, added)...)
		for _, m := range ring.Diff(old, new) {
			moved += 100.0 / sets / float64(old.Partitions())
			if m.To != added {
				stray += 100.0 / sets / float64(old.Partitions())
			}
		}
	}
	t.Logf("moved %.2f %% (ideal %.2f %%), between members that stay %.2f %%", moved, 100.0/11, stray)
	require.LessOrEqual(t, moved, 12.0)
	require.LessOrEqual(t, stray, 1.0)
	require.Greater(t, moved, 5.0, "the new member gets its share")
}

// A replica that restarts under its slot changes nothing; one that comes back under
// another name is a removal and an addition.
func TestTheSameSlotsGiveTheSameOwners(t *testing.T) {
	a := newRing(t, ring.Config{}, "web-0", "web-1", "web-2")
	b := newRing(t, ring.Config{}, "web-2", "web-0", "web-1")
	require.Empty(t, ring.Diff(a, b))
	require.NotEmpty(t, ring.Diff(a, newRing(t, ring.Config{}, "web-0", "web-1", "web-3")))
}
