package node_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A node of a minority that gains a member does not count another one that has just
// died and that it still sees: it does not answer, for as long as nobody else is there.
func TestMinorityDoesNotCountAMemberThatHasJustDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyCluster(t, 3, func(cfg *node.Config) { cfg.Quorum = 3 })
		id := startTally(t, c, 0)
		c.PowerOff(2)
		time.Sleep(10 * time.Second)
		require.ErrorIs(t, c.Node(0).Ready(), sessionproc.ErrNoQuorum)
		c.PowerOff(1)
		n, saw := c.Node(0), 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 1000 {
				saw = max(saw, len(n.Members()))
				_, err := count.Call(t.Context(), n, id, 0)
				assert.ErrorIs(t, err, sessionproc.ErrNoQuorum)
				time.Sleep(10 * time.Millisecond)
			}
		}()
		c.Add()
		<-done
		require.Equal(t, 3, saw, "it still saw who had died, and who came")
		c.Add()
		time.Sleep(2 * time.Second)
		require.NoError(t, c.Node(0).Ready())
		_, err := count.Call(t.Context(), c.Node(0), id, 0)
		require.NoError(t, err)
	})
}

// When enough answer the node answers again, and keeps what it had.
func TestMinorityThatRegainsQuorumAnswersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyCluster(t, 3, func(cfg *node.Config) { cfg.Quorum = 2 })
		id := startTally(t, c, 0)
		c.Network().Cut(c.Host(0), c.Host(1))
		c.Network().Cut(c.Host(0), c.Host(2))
		time.Sleep(10 * time.Second)
		require.ErrorIs(t, c.Node(0).Ready(), sessionproc.ErrNoQuorum)
		c.Network().HealAll()
		time.Sleep(20 * time.Second)
		require.NoError(t, c.Node(0).Ready())
		_, err := count.Call(t.Context(), c.Node(0), id, 1)
		require.NoError(t, err)
	})
}
