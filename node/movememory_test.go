package node_test

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
)

// What a move allocates is garbage at once, and while the collector gets little of a busy
// machine it makes up the peak of a node that drains: no more than so much for each further
// session, at both nodes together, all that they say and send included.
func TestAMoveAllocatesLittle(t *testing.T) {
	if testing.Short() {
		t.Skip("what the race detector allocates would count as well")
	}
	const few, many, most = 2000, 8000, 3700 // bytes
	allocated := func(sessions int) (bytes uint64) {
		synctest.Test(t, func(t *testing.T) {
			c := tuned(t, 2, func(_ int, cfg *node.Config) { cfg.HandoffRate = node.Unbounded }, newCounters)
			startOn(t, c, 0, sessions)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			require.NoError(t, c.Node(0).Drain(t.Context()))
			runtime.ReadMemStats(&after)
			require.Equal(t, sessions, c.Node(1).Sessions())
			bytes = after.TotalAlloc - before.TotalAlloc
		})
		return bytes
	}
	each := (allocated(many) - allocated(few)) / (many - few)
	t.Logf("%d bytes for each session", each)
	require.Less(t, each, uint64(most))
}
