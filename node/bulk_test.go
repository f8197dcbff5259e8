package node_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// slowly is a cluster of two that hands over 100 sessions a second.
func slowly(t *testing.T, sessions int) (c *nodetest.Cluster, ids []string) {
	c = tuned(t, 2, func(_ int, cfg *node.Config) { cfg.HandoffRate = 100 }, newCounters)
	return c, startOn(t, c, 0, sessions)
}

func TestHandOverLeavesTheMachineToRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ids := slowly(t, 500)
		require.InDelta(t, 5, c.Node(0).DrainEstimate().Takes.Seconds(), 1)
		begin := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- c.Node(0).Drain(t.Context()) }()
		time.Sleep(2 * time.Second)
		require.InDelta(t, 300, c.Node(0).Sessions(), 50)
		for i, id := range ids { // wherever they are
			before := time.Now()
			got, err := add.Call(t.Context(), c.Node(i%2), id, 1)
			require.NoError(t, err)
			require.Greater(t, got, i)
			require.Less(t, time.Since(before), 20*time.Millisecond)
		}
		require.NoError(t, <-drained)
		require.InDelta(t, 4.5, time.Since(begin).Seconds(), 1.5) // those that were called went at once
	})
}

func TestHandOverHurriesForADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := slowly(t, 500)
		ctx := lasting(t, 2*time.Second)
		begin := time.Now()
		require.NoError(t, c.Node(0).Drain(ctx))
		require.InDelta(t, 1, time.Since(begin).Seconds(), 0.3)
		require.Equal(t, 500, c.Node(1).Sessions())
	})
}

// Where a partition goes to, others answer late: so long its owner of before starts
// sessions.
func TestStartsDoNotWaitForAllMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newCounters)
		c.Stall(2)
		drained := make(chan error, 1)
		go func() { drained <- c.Node(0).Drain(t.Context()) }()
		time.Sleep(100 * time.Millisecond) // the others know that it drains
		started := 0
		for started < 20 {
			id := sessionproc.NewID()
			if where, err := c.Node(1).Where(id); err != nil || c.Owner(id) != 1 || where.Owner.Slot != "n1" {
				continue
			}
			begin := time.Now()
			require.NoError(t, counters.Start(t.Context(), c.Node(started%2), id, started))
			require.Less(t, time.Since(begin), 50*time.Millisecond)
			started++
		}
		require.Positive(t, c.Node(0).Sessions(), "some are there, as n1 cannot have those partitions yet")
		c.Resume(2)
		require.NoError(t, <-drained)
		require.Zero(t, c.Node(0).Sessions())
	})
}
