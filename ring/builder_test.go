package ring_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/ring"
)

// Whatever members came and went, a Builder's ring is the one that New makes.
func TestBuilderMakesTheRingsOfNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := ring.Config{
			Partitions:   rapid.SampledFrom([]int{0, 1, 31, 271}).Draw(t, "partitions"),
			VirtualNodes: rapid.SampledFrom([]int{0, 1, 20}).Draw(t, "virtual nodes"),
			Load:         rapid.SampledFrom([]float64{0, 1, 2}).Draw(t, "load"),
		}
		b, err := ring.NewBuilder(cfg)
		require.NoError(t, err)
		members := map[string]bool{}
		for range rapid.IntRange(1, 12).Draw(t, "views") {
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				name := fmt.Sprintf("web-%d:7946", rapid.IntRange(0, 30).Draw(t, "member"))
				members[name] = !members[name]
			}
			var view []string
			for name, here := range members { // in any order
				if here {
					view = append(view, name, name)
				}
			}
			got, err := b.Ring(view)
			require.NoError(t, err)
			want := newRing(t, cfg, view...)
			require.Equal(t, want.Members(), got.Members())
			require.Equal(t, owners(want), owners(got))
		}
	})
}

func TestBuilderEqualsNewAtTwoHundredMembers(t *testing.T) {
	all := slots(201, "web-%d:7946")
	b, err := ring.NewBuilder(ring.Config{})
	require.NoError(t, err)
	views := [][]string{all[:200], all, all[1:], all[:200], slices.Concat(all[:70], all[71:])}
	if testing.Short() {
		views = views[:2]
	}
	for _, view := range views {
		got, err := b.Ring(view)
		require.NoError(t, err)
		require.Equal(t, owners(newRing(t, ring.Config{}, view...)), owners(got))
	}
}

func TestBuilderRefusesWhatNewRefuses(t *testing.T) {
	_, err := ring.NewBuilder(ring.Config{Partitions: -1})
	require.ErrorContains(t, err, "Config.Partitions")
	b, err := ring.NewBuilder(ring.Config{})
	require.NoError(t, err)
	for _, members := range [][]string{{"a", ""}, slots(1025, "s%d")} {
		_, fault := ring.New(ring.Config{}, members)
		_, err := b.Ring(members)
		require.EqualError(t, err, fault.Error())
	}
	nobody, err := b.Ring(nil)
	require.NoError(t, err)
	_, owned := nobody.Owner(0)
	require.False(t, owned)
	some, err := b.Ring([]string{"a", "b"})
	require.NoError(t, err)
	require.Equal(t, owners(newRing(t, ring.Config{}, "a", "b")), owners(some), "after what was refused")
}

// One member more or less of 200 costs far less than a new ring.
func TestBuilderCostsWhatHasChanged(t *testing.T) {
	all := slots(200, "web-%d:7946")
	b, err := ring.NewBuilder(ring.Config{})
	require.NoError(t, err)
	timed := func(view []string) time.Duration {
		begin := time.Now()
		_, err := b.Ring(view)
		require.NoError(t, err)
		return time.Since(begin)
	}
	first, change := timed(all), time.Hour
	for i := range 10 {
		change = min(change, timed(all[:199+i%2]))
	}
	begin := time.Now()
	newRing(t, ring.Config{}, all...)
	whole := time.Since(begin)
	t.Logf("New takes %v, a builder's first ring %v, a change %v", whole, first, change)
	require.Less(t, first, whole/4)
	require.Less(t, change, whole/20)
}
