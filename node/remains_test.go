package node_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Cuts, crashes, moves and sessions that end meanwhile leave nothing behind, once
// members that have gone are forgotten.
func TestFaultsLeaveNothingBehind(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newBags)
		var ids []string
		for range 60 {
			ids = append(ids, sessionproc.NewID())
		}
		use := func(nodes ...int) {
			for k, id := range ids {
				_, _ = bags.Ensure(t.Context(), c.Node(nodes[k%len(nodes)]), id, sessionproc.None{})
				if k%7 == 0 {
					_ = c.Node(nodes[(k+1)%len(nodes)]).Terminate(t.Context(), id)
				}
			}
		}
		for range 3 {
			use(0, 1, 2)
			c.Isolate(2)
			time.Sleep(2 * time.Second)
			use(0, 1)
			use(2)
			c.Settle()
			use(0, 1)
			use(2)
			c.Heal()
			c.Settle()
			use(2, 0)
			c.Crash(1)
			use(0, 2)
			c.Restart(1)
			use(1, 0)
			c.Settle()
			c.Leave(0)
			use(1, 2)
			c.Restart(0)
			c.Settle()
			use(0, 1, 2)
		}
		time.Sleep(15 * time.Minute)
		for i := range 3 {
			require.Empty(t, c.Node(i).Remains(), "node %d", i)
		}
		for _, id := range ids {
			_ = c.Node(0).Terminate(t.Context(), id)
		}
		for i := range 3 {
			require.Zero(t, c.Node(i).Sessions())
			require.Empty(t, c.Node(i).Remains(), "node %d", i)
		}
	})
}
