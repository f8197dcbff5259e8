package ring_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/ring"
)

func newRing(t require.TestingT, cfg ring.Config, members ...string) *ring.Ring {
	r, err := ring.New(cfg, members)
	require.NoError(t, err)
	return r
}

// owners is the whole table, to compare rings by.
func owners(r *ring.Ring) []string {
	table := make([]string, r.Partitions())
	for p := range table {
		table[p], _ = r.Owner(p)
	}
	return table
}

func slots(n int, format string) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(format, i)
	}
	return names
}

func TestConfigRefusesNonsenseAndNamesTheField(t *testing.T) {
	for field, cfgs := range map[string][]ring.Config{
		"Config.Partitions":   {{Partitions: -1}, {Partitions: 65522}},
		"Config.VirtualNodes": {{VirtualNodes: -1}, {VirtualNodes: 1001}},
		"Config.Load":         {{Load: -1}, {Load: 0.99}, {Load: 10.5}, {Load: math.NaN()}, {Load: math.Inf(1)}},
	} {
		for _, cfg := range cfgs {
			_, err := ring.New(cfg, []string{"a", "b", "c"})
			require.ErrorContains(t, err, "ring: "+field, "%+v", cfg)
			require.EqualError(t, cfg.Validate(), err.Error())
		}
	}
	require.NoError(t, ring.Config{}.Validate())
}

func TestConfigAtItsBoundsWorks(t *testing.T) {
	for _, cfg := range []ring.Config{
		{Partitions: 1}, {Partitions: 65521}, {VirtualNodes: 1}, {VirtualNodes: 1000}, {Load: 1}, {Load: 10},
		{Partitions: 2, VirtualNodes: 1, Load: 1},
	} {
		r := newRing(t, cfg, slots(5, "s%d")...)
		for p := range r.Partitions() {
			_, ok := r.Owner(p)
			require.True(t, ok, "%+v partition %d", cfg, p)
		}
	}
}

func TestNewRefusesMembersItCannotPlace(t *testing.T) {
	_, err := ring.New(ring.Config{}, []string{"a", ""})
	require.ErrorContains(t, err, "empty slot")
	_, err = ring.New(ring.Config{VirtualNodes: 1}, slots(1025, "s%d"))
	require.ErrorContains(t, err, "1025 members")
	_, err = ring.New(ring.Config{VirtualNodes: 1}, slots(1024, "s%d"))
	require.NoError(t, err)
}

func TestEmptyRingHasNoOwners(t *testing.T) {
	r := newRing(t, ring.Config{})
	require.Equal(t, 1021, r.Partitions())
	require.Empty(t, r.Members())
	require.Equal(t, -1, r.OwnerIndex(0))
	_, ok := r.Owner(0)
	require.False(t, ok)
	_, ok = r.OwnerOf("some-id")
	require.False(t, ok)
}

func TestPartitionOutOfRangeHasNoOwner(t *testing.T) {
	r := newRing(t, ring.Config{}, "a")
	for _, p := range []int{-1, 1021, math.MaxInt, math.MinInt} {
		require.Equal(t, -1, r.OwnerIndex(p))
		_, ok := r.Owner(p)
		require.False(t, ok)
	}
}

func TestAllLookUpsNameTheSameOwner(t *testing.T) {
	r := newRing(t, ring.Config{}, slots(7, "web-%d:7946")...)
	seen := map[string]bool{}
	for _, id := range slots(5000, "session-%d") {
		p := r.Partition(id)
		require.Equal(t, ring.Partition(id, r.Partitions()), p)
		of, ok := r.OwnerOf(id)
		require.True(t, ok)
		owner, ok := r.Owner(p)
		require.True(t, ok)
		require.Equal(t, owner, of)
		require.Equal(t, owner, r.Members()[r.OwnerIndex(p)])
		seen[owner] = true
	}
	require.Len(t, seen, 7, "every member owns something")
}

func TestNewDoesNotKeepOrChangeItsArgument(t *testing.T) {
	given := []string{"c", "a", "b", "a"}
	r := newRing(t, ring.Config{}, given...)
	require.Equal(t, []string{"c", "a", "b", "a"}, given)
	given[0] = "z"
	require.Equal(t, []string{"a", "b", "c"}, r.Members())
}

func TestRingDependsOnlyOnTheSetOfMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := drawSet(t)
		cfg := drawConfig(t)
		want := newRing(t, cfg, set...)

		given := rapid.Permutation(set).Draw(t, "order")
		for range rapid.IntRange(0, 5).Draw(t, "repetitions") {
			given = append(given, rapid.SampledFrom(set).Draw(t, "again"))
		}
		got := newRing(t, cfg, given...)
		require.Equal(t, want.Members(), got.Members())
		require.Equal(t, owners(want), owners(got))
	})
}

func TestNoMemberExceedsTheLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := drawSet(t)
		cfg := drawConfig(t)
		r := newRing(t, cfg, set...)
		most := int(math.Ceil(float64(cfg.Partitions) / float64(len(set)) * cfg.Load))
		owned := map[string]int{}
		for _, slot := range owners(r) {
			require.Contains(t, set, slot)
			owned[slot]++
			require.LessOrEqual(t, owned[slot], most)
		}
	})
}

func drawSet(t *rapid.T) []string {
	return rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9.-]{1,12}:[0-9]{2,5}`), 1, 12, rapid.ID).Draw(t, "set")
}

func drawConfig(t *rapid.T) ring.Config {
	return ring.Config{
		Partitions:   rapid.SampledFrom([]int{1, 13, 271}).Draw(t, "partitions"),
		VirtualNodes: rapid.SampledFrom([]int{1, 20, 100}).Draw(t, "virtual nodes"),
		Load:         rapid.SampledFrom([]float64{1, 1.1, 1.25, 2}).Draw(t, "load"),
	}
}

func TestFingerprintSaysWhetherRingsAreEqual(t *testing.T) {
	zero := ring.Config{}
	require.Equal(t, zero.Fingerprint(), ring.Config{Partitions: 1021, VirtualNodes: 100, Load: 1.25}.Fingerprint())
	prints := map[uint64]ring.Config{}
	for _, cfg := range []ring.Config{zero, {Partitions: 1009}, {VirtualNodes: 20}, {Load: 1.1},
		{Load: math.Nextafter(1.25, 2)}} {
		other, taken := prints[cfg.Fingerprint()]
		require.False(t, taken, "%+v and %+v", cfg, other)
		prints[cfg.Fingerprint()] = cfg
	}
	// Nodes of different releases compare this figure: it may only change together
	// with the mapping.
	require.Equal(t, uint64(goldenFingerprint), zero.Fingerprint())
}

func TestDescribeShowsEverySetting(t *testing.T) {
	require.Equal(t, "1021 partitions, 100 virtual nodes, load 1.25, xxhash64, consistent/1.0.0", ring.Config{}.Describe())
	require.Equal(t, "13 partitions, 7 virtual nodes, load 1.1, xxhash64, consistent/1.0.0",
		ring.Config{Partitions: 13, VirtualNodes: 7, Load: 1.1}.Describe())
}

func TestDescribedVersionIsTheOneInUse(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	found := regexp.MustCompile(`buraksezer/consistent v(\S+)`).FindSubmatch(mod)
	require.NotNil(t, found)
	require.Contains(t, ring.Config{}.Describe(), "consistent/"+string(found[1]))
}

func TestLookUpDoesNotAllocate(t *testing.T) {
	r := newRing(t, ring.Config{}, slots(10, "web-%d")...)
	require.Zero(t, testing.AllocsPerRun(100, func() { r.OwnerOf("b2f5ff47436671b6e533d8dc3614845d") }))
}

func TestMembersAreSorted(t *testing.T) {
	r := newRing(t, ring.Config{}, "b", "a", "C", "b")
	require.True(t, slices.IsSorted(r.Members()))
	require.Len(t, r.Members(), 3)
}

// Ring.Partition divides by multiplying; it must agree with the definition.
func TestPartitionIsTheRemainder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.IntRange(1, 65521).Draw(t, "partitions")
		r, err := ring.New(ring.Config{Partitions: partitions}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range rapid.SliceOfN(rapid.String(), 1, 50).Draw(t, "ids") {
			if got, want := r.Partition(id), ring.Partition(id, partitions); got != want {
				t.Fatalf("Partition(%q) of %d is %d, want %d", id, partitions, got, want)
			}
		}
	})
}
