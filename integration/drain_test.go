package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// TestAcceptance40_DrainedNodeIsNotReadyAndForwards calls sessions through the
// node that drains (owner) and through another (remote).
func TestAcceptance40_DrainedNodeIsNotReadyAndForwards(t *testing.T) {
	for i, where := range []string{"owner", "remote"} {
		t.Run(where, func(t *testing.T) {
			members := newCluster(t, 3, node.Config{})
			from, drains := members[i], members[0]
			ids := make([]string, 50)
			for k := range ids {
				ids[k] = idOn(t, from, drains.Slot())
				require.NoError(t, counters.Start(t.Context(), from, ids[k], k))
			}
			require.Equal(t, len(ids), drains.Sessions())
			require.NoError(t, drains.Ready())
			drained := make(chan error, 1)
			go func() { drained <- drains.Drain(within(t, 30*time.Second)) }()
			calls := 0
			for done := false; !done; calls++ {
				_, err := add.Call(t.Context(), from, ids[calls%len(ids)], 1000)
				require.NoError(t, err)
				select {
				case err := <-drained:
					require.NoError(t, err)
					done = true
				default:
				}
			}
			require.ErrorContains(t, drains.Ready(), "draining")
			require.Zero(t, drains.Sessions())
			require.EqualValues(t, len(ids), drains.Progress().Moved)
			for k, id := range ids {
				got, err := get.Call(t.Context(), from, id, sessionproc.None{})
				require.NoError(t, err)
				require.Equal(t, k, got%1000)
				calls -= got / 1000
			}
			require.Zero(t, calls, "each call has counted once")
			require.NoError(t, counters.Start(t.Context(), from, sessionproc.NewID(), 1))
			require.Zero(t, drains.Sessions())
			quickly(t, time.Second, func() { require.NoError(t, drains.Drain(t.Context()), "again") })
			quickly(t, 3*time.Second, func() { require.NoError(t, drains.Leave(t.Context())) })
			requirePortFree(t, drains.Addr())
		})
	}
}
