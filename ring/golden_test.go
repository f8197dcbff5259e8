package ring_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/ring"
)

const goldenFingerprint = 0xba45532813f8b99d

var update = flag.Bool("update", false,
	"write testdata/owners.golden anew: every cluster in the field then has to stop for an upgrade")

// The mapping is a format: nodes of two releases in one cluster must agree on it.
func TestMappingIsPinned(t *testing.T) {
	const path = "testdata/owners.golden"
	got := goldenTable(t)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func goldenTable(t *testing.T) string {
	ids := append(slots(6, "session-%d"), "a", "b2f5ff47436671b6e533d8dc3614845d", "AZaz09_-", strings.Repeat("x", 128))
	var b strings.Builder
	for _, set := range []struct {
		cfg     ring.Config
		members []string
	}{
		{ring.Config{}, slots(1, "web-%d:7946")},
		{ring.Config{}, slots(3, "web-%d:7946")},
		{ring.Config{}, slots(10, "10.0.0.%d:7946")},
		{ring.Config{}, slots(50, "[fd00::%x]:7946")},
		{ring.Config{Partitions: 271, VirtualNodes: 20, Load: 1.1}, slots(5, "cart-%d")},
	} {
		r := newRing(t, set.cfg, set.members...)
		fmt.Fprintf(&b, "%s; %d members from %s\n", set.cfg.Describe(), len(set.members), set.members[0])
		fmt.Fprintf(&b, "\tall owners: xxhash64 %016x\n", xxhash.Sum64String(strings.Join(owners(r), "\n")))
		for _, id := range ids {
			owner, _ := r.OwnerOf(id)
			fmt.Fprintf(&b, "\t%s: %d %s\n", id, r.Partition(id), owner)
		}
	}
	return b.String()
}

// The library may be used for a live ring with Add and Remove; whatever the history,
// our ring of the members at the end is the same.
func TestHistoryOfMembersMakesNoDifference(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		live := consistent.New(nil, consistent.Config{Hasher: sum64{}, PartitionCount: 271, ReplicationFactor: 100,
			Load: 1.25})
		present := map[string]bool{}
		for range 30 {
			name := fmt.Sprintf("web-%d", rnd.IntN(9))
			if present[name] {
				live.Remove(name)
			} else {
				live.Add(slot(name))
			}
			present[name] = !present[name]
		}
		live.Add(slot("last"))
		var set []string
		for _, m := range live.GetMembers() {
			set = append(set, m.String())
		}
		r := newRing(t, ring.Config{Partitions: 271}, set...)
		for p, owner := range owners(r) {
			require.Equal(t, live.GetPartitionOwner(p).String(), owner)
		}
	}
}

type slot string

func (s slot) String() string { return string(s) }

type sum64 struct{}

func (sum64) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }
