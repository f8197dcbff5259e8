package nodetest_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
)

// postponed is a test whose cleanups run when it is told to.
type postponed struct {
	testing.TB
	cleanups []func()
}

func (p *postponed) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

// The outer t in a bubble is the usual slip. What is said of it names the cure.
func TestOuterTInABubbleIsRefused(t *testing.T) {
	outer := &postponed{TB: t}
	synctest.Test(t, func(t *testing.T) {
		outer.TB = t // for its output
		c := nodetest.NewCluster(outer, 1, nodetest.Kind(newCarts))
		require.NoError(t, c.Node(0).Close())
	})
	require.NotEmpty(t, outer.cleanups)
	for _, f := range outer.cleanups {
		require.PanicsWithValue(t, "nodetest: the t of a Cluster in a bubble is of outside the bubble: "+
			"give NewCluster the t of the function that synctest.Test calls", f)
	}
}
