package ring

import (
	"fmt"
	"testing"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// narrow is a hash of a few bits, so that points and partitions collide.
type narrow struct{}

func (narrow) Sum64(b []byte) uint64 { return xxhash.Sum64(b) & 0x1ff }

// Where points of members collide, the later name has them, whoever came first: as it is
// where the library gets all members at once, in order.
func TestBuilderGivesACollidingPointToTheLaterName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Partitions: 31, VirtualNodes: 20, Load: 1.25}
		b := newBuilder(cfg, narrow{}.Sum64)
		collided := false
		for range rapid.IntRange(1, 8).Draw(t, "views") {
			here := rapid.SliceOfNDistinct(rapid.IntRange(10, 30), 1, 20, rapid.ID).Draw(t, "members")
			var names []string
			for _, i := range here {
				names = append(names, fmt.Sprintf("web-%d:7946", i))
			}
			got, err := b.Ring(names)
			require.NoError(t, err)
			var all []consistent.Member
			for _, name := range got.Members() {
				all = append(all, member{name: name})
			}
			want := consistent.New(all, consistent.Config{Hasher: narrow{}, PartitionCount: 31, ReplicationFactor: 20,
				Load: 1.25})
			for part := range 31 {
				owner, _ := got.Owner(part)
				require.Equal(t, want.GetPartitionOwner(part).String(), owner, part)
			}
			for i := range b.points[1:] {
				collided = collided || b.points[i].at == b.points[i+1].at
			}
		}
		if len(b.owners) == 20 {
			require.True(t, collided)
		}
	})
}
