package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
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

// The others have gone on with its sessions. When it sees them again it answers for a session only when it has what
// they have, though another node of the minority has seen it all the time, and one that has come since has, too.
func TestWhoLeavesTheMinorityDoesNotAnswerFromOldCopies(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.Start(t, nodetest.Config{Nodes: 5, Tune: func(_ int, cfg *node.Config) {
			cfg.Quorum, cfg.StandbyMemory, cfg.HandoffRate = 3, 1<<30, 10 // the others take their time
			cfg.Kinds = []sessionproc.AnyKind{newMeters(func(context.Context) {})}
		}})
		c.Settle()
		var ids []string
		for i := range 60 {
			id := fmt.Sprint("m", i)
			require.NoError(t, meters.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
			ids = append(ids, id)
		}
		c.Isolate(3, 4)
		time.Sleep(10 * time.Second)
		c.Add()
		c.Isolate(3, 4) // from the one that has come, too
		time.Sleep(30 * time.Second)
		ids = slices.DeleteFunc(ids, func(id string) bool {
			_, err := advance.Call(t.Context(), c.Node(0), id, 1)
			return err != nil // the session was in the minority with its standby
		})
		require.Greater(t, len(ids), 20)
		c.Heal()
		var callers sync.WaitGroup
		for _, i := range []int{3, 4} {
			callers.Go(func() {
				for turn := range 2000 {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
					n, err := counted.Call(ctx, c.Node(i), ids[turn%len(ids)], sessionproc.None{})
					cancel()
					if err == nil {
						assert.Equal(t, 1, n, "at node %d", i)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		callers.Wait()
		time.Sleep(10 * time.Second)
		for _, id := range ids {
			require.Equal(t, 1, countedAt(t, c, id))
		}
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

// A node that drains serves nothing by its own ring. When it sees too few others, it says so at once, as others do:
// nobody could answer.
func TestADrainingNodeWithoutAQuorumSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyCluster(t, 3, func(cfg *node.Config) { cfg.Quorum = 2 })
		ids := []string{startTally(t, c, 1), ownedBy(c, 2, "nobody-")}
		drained := make(chan error, 1)
		c.Isolate(0)
		go func() { drained <- c.Node(0).Drain(lasting(t, time.Minute)) }()
		time.Sleep(15 * time.Second)
		begun := time.Now()
		for _, id := range ids {
			_, err := count.Call(lasting(t, 20*time.Second), c.Node(0), id, 0)
			require.ErrorIs(t, err, sessionproc.ErrNoQuorum)
		}
		require.Less(t, time.Since(begun), time.Second)
		c.Heal()
		require.NoError(t, <-drained)
	})
}
