package node_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The owner has heard of a session that cannot be encoded, and is lost before it has
// answered: the session goes on with all that it has, and when the owner is back the rule
// decides after all.
func TestSessionThatCannotBeEncodedGoesOnWhenItsOwnerIsLost(t *testing.T) {
	for later := range 2 { // which copy has the higher incarnation
		synctest.Test(t, func(t *testing.T) {
			var c *nodetest.Cluster
			var cut atomic.Bool
			c = tuned(t, 3, func(i int, cfg *node.Config) {
				cfg.Kinds = []sessionproc.AnyKind{birdsWith(crow, 0)}
				if i == 2 {
					cfg.Kinds = []sessionproc.AnyKind{cagedBirds(crow)()}
				}
				cfg.Trace = &node.Trace{MoveRefused: func(r node.TraceMoveRefused) {
					if i == 0 && r.Here && strings.Contains(r.Cause, "cannot be encoded") && !cut.Swap(true) {
						c.Isolate(0) // before it has answered
					}
				}}
			})
			time.Sleep(2 * time.Second)
			r := &rivals{t: t, c: c, at: [2]int{0, 2}, kinds: [2]birdKind{crow, crow}, winner: later, ids: []string{idAt(c, 0)}}
			c.Isolate(0)
			c.Isolate(1)
			c.Settle()
			r.begin()
			c.Heal()
			time.Sleep(20 * time.Second)
			require.True(t, cut.Load(), "the owner was sent an outline")
			c.Settle()
			for i, at := range r.at {
				if at == 0 && later == 1 {
					continue // it has ended, as the other one goes on
				}
				said, err := crow.shout.Call(t.Context(), c.Node(at), r.ids[0], 50+i)
				require.NoError(t, err)
				require.Equal(t, 2, said, "the copy at node %d has its state", at)
			}
			c.Heal()
			c.Settle()
			time.Sleep(30 * time.Second)
			said, err := crow.shout.Call(t.Context(), c.Node(1), r.ids[0], 99)
			require.NoError(t, err)
			require.Equal(t, 3, said)
			require.Equal(t, 1, c.Node(0).Sessions()+c.Node(1).Sessions()+c.Node(2).Sessions())
			require.Equal(t, 1, c.Node(r.at[later]).Sessions(), "the higher incarnation goes on")
		})
	}
}
