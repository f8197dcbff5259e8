//go:build !race

package nodetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A state that has grown large is counted while it is where it is.
func TestStatsCountLargeStatesBeforeTheyMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSafes[[]string](sessionproc.MethodConfig{})
		c := nodetest.NewCluster(t, 2, s.make)
		large := func() (n []int64) {
			all, err := c.Node(0).Stats(t.Context())
			require.NoError(t, err)
			for _, one := range all.Nodes {
				n = append(n, one.Large)
			}
			return append(n, all.Total.Large)
		}
		ids := ownedBy(c, 1, 3)
		for i, id := range ids {
			require.NoError(t, s.ref.Start(context.Background(), c.Node(0), id, []string{string(make([]byte, i*600<<10))}))
		}
		time.Sleep(time.Minute)
		require.Equal(t, []int64{0, 1, 1}, large())
		c.Drain(1)
		time.Sleep(time.Minute)
		require.Equal(t, []int64{0, 1, 1}, large(), "it is known")
		for _, id := range ids {
			require.NoError(t, s.put.Cast(t.Context(), c.Node(0), id, []string{string(make([]byte, 2<<20))}))
		}
		time.Sleep(time.Minute)
		require.Equal(t, []int64{2, 1, 3}, large())
	})
}
