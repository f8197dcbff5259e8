package node_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func tallyCluster(t *testing.T, nodes int, tune func(cfg *node.Config)) *nodetest.Cluster {
	return tuned(t, nodes, func(_ int, cfg *node.Config) {
		if tune != nil {
			tune(cfg)
		}
	}, func() sessionproc.AnyKind { return newTallies(nil) })
}

// startTally starts one that node i owns.
func startTally(t *testing.T, c *nodetest.Cluster, i int) (id string) {
	t.Helper()
	id = idAt(c, i)
	require.NoError(t, tallies.Start(t.Context(), c.Caller(), id, sessionproc.None{}))
	return id
}

// One of three nodes is cut off: it answers nothing, and says why; its state waits
// and is there again afterwards.
func TestMinorityWithoutQuorumAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyCluster(t, 3, func(cfg *node.Config) { cfg.Quorum = 2 })
		time.Sleep(time.Second) // node 2 has its partitions
		id := startTally(t, c, 2)
		_, err := count.Call(t.Context(), c.Caller(), id, 7)
		require.NoError(t, err)
		c.Isolate(2)
		c.Settle()
		require.ErrorIs(t, c.Node(2).Ready(), sessionproc.ErrNoQuorum)
		_, err = count.Call(t.Context(), c.Node(2), id, 1)
		require.ErrorIs(t, err, sessionproc.ErrNoQuorum)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.ErrorIs(t, note.Cast(t.Context(), c.Node(2), id, 1), sessionproc.ErrNoQuorum)
		require.ErrorIs(t, tallies.Start(t.Context(), c.Node(2), "another", sessionproc.None{}), sessionproc.ErrNoQuorum)
		_, err = c.Node(2).Started(t.Context(), id)
		require.ErrorIs(t, err, sessionproc.ErrNoQuorum)
		require.NoError(t, c.Node(0).Ready())
		c.Heal()
		c.Settle()
		got, err := count.Call(t.Context(), c.Caller(), id, 0)
		require.NoError(t, err)
		require.Equal(t, 7, got.N)
		require.NoError(t, c.Node(2).Ready())
	})
}

// When a partition ends one node may see the other while that one does not see
// enough yet: a caller that sees enough waits.
func TestCallersWaitForANodeThatRegainsQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyCluster(t, 3, func(cfg *node.Config) { cfg.Quorum = 2 })
		time.Sleep(time.Second) // node 2 has its partitions
		id := startTally(t, c, 2)
		away := c.Node(2)
		away.LoseQuorum(true)
		time.AfterFunc(300*time.Millisecond, func() { away.LoseQuorum(false) })
		_, err := count.Call(t.Context(), away, id, 1)
		require.ErrorIs(t, err, sessionproc.ErrNoQuorum)
		got, err := count.Call(t.Context(), c.Node(0), id, 1)
		require.NoError(t, err)
		require.Equal(t, 1, got.N)
	})
}

// A first node that needs a second one starts, and answers when that has come.
func TestFirstNodeAnswersOnceItHasItsQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyCluster(t, 1, func(cfg *node.Config) { cfg.Quorum = 2 })
		require.ErrorIs(t, c.Node(0).Ready(), sessionproc.ErrNoQuorum)
		require.ErrorIs(t, tallies.Start(t.Context(), c.Node(0), "a", sessionproc.None{}), sessionproc.ErrNoQuorum)
		c.Add()
		c.Settle()
		require.NoError(t, c.Node(0).Ready())
		require.NoError(t, tallies.Start(t.Context(), c.Node(0), "a", sessionproc.None{}))
	})
}

// A process that stood still and was seen all the time goes on after a round trip;
// a message that came meanwhile waits.
func TestAShortStallCostsARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyCluster(t, 2, nil)
		id := startTally(t, c, 0)
		time.Sleep(5 * time.Second)
		c.Node(0).StandStill(2 * time.Second)
		require.False(t, c.Node(0).Stands())
		begun := time.Now()
		_, err := count.Call(t.Context(), c.Node(0), id, 1)
		require.NoError(t, err)
		require.Less(t, time.Since(begun), 100*time.Millisecond)
		require.True(t, c.Node(0).Stands())
	})
}

// The others were seen all the time, though one has just died: that one cannot confirm
// anything, and the rest have not returned.
func TestAShortStallAfterADeathCostsARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyCluster(t, 3, nil)
		id := startTally(t, c, 0)
		c.Crash(2)
		time.Sleep(4 * time.Second)
		require.Len(t, c.Node(0).Members(), 2)
		c.Node(0).StandStill(2 * time.Second)
		begun := time.Now()
		_, err := count.Call(t.Context(), c.Node(0), id, 1)
		require.NoError(t, err)
		require.Less(t, time.Since(begun), 100*time.Millisecond)
		require.True(t, c.Node(0).Stands())
	})
}

// On a busy machine the clock comes late, and every session that begins to work meanwhile
// finds out. It is one stall all the same.
func TestStallThatManySessionsNoticeIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		c := tuned(t, 2, log.of0(nil), func() sessionproc.AnyKind { return newTallies(nil) })
		time.Sleep(5 * time.Second)
		for i := range 1000 {
			c.Node(0).StandStill(time.Second + time.Duration(i)*100*time.Microsecond)
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Second)
		require.True(t, c.Node(0).Stands())
		require.Len(t, log.Lines("stood still"), 1)
		require.Len(t, log.Lines("resuming sessions"), 1)
		c.Node(0).StandStill(2 * time.Second)
		time.Sleep(time.Second)
		require.Len(t, log.Lines("stood still"), 2, "another one")
		require.True(t, c.Node(0).Stands())
	})
}

// A process that stood still for so long that the others have put it out answers
// when they have handed over what they took meanwhile.
func TestALongStallServesNothingStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyCluster(t, 3, nil)
		time.Sleep(time.Second) // node 0 has its partitions
		id := idAt(c, 0)
		c.Stall(0)
		c.Settle() // the others have put it out
		require.NoError(t, tallies.Start(t.Context(), c.Caller(), id, sessionproc.None{}))
		c.Resume(0)
		c.Node(0).StandStill(30 * time.Second) // it believes that it holds the partition, and nothing is there
		require.False(t, c.Node(0).Stands())
		_, err := count.Call(t.Context(), c.Node(0), id, 1)
		require.NoError(t, err)
		c.Settle()
		time.Sleep(5 * time.Second)
		require.True(t, c.Node(0).Stands())
		got, err := count.Call(t.Context(), c.Node(0), id, 0)
		require.NoError(t, err)
		require.Equal(t, 1, got.N)
	})
}

// The same of sessions whose partitions have fallen to a member that has joined meanwhile: the others have gone on with
// them, and what is here waits until it has gone there.
func TestALongStallServesNothingStaleOfWhatHasAnotherOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.Start(t, nodetest.Config{Nodes: 3, Tune: func(_ int, cfg *node.Config) {
			cfg.StandbyMemory, cfg.HandoffRate = 1<<30, 10 // it takes its time
			cfg.Kinds = []sessionproc.AnyKind{newMeters(func(context.Context) {})}
		}})
		c.Settle()
		var ids []string
		for i := range 60 {
			if id := fmt.Sprint("m", i); c.Owner(id) == 0 {
				require.NoError(t, meters.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
				ids = append(ids, id)
			}
		}
		require.Greater(t, len(ids), 10)
		c.Stall(0)
		time.Sleep(10 * time.Second) // the others have put it out
		for _, id := range ids {
			_, err := advance.Call(t.Context(), c.Node(1), id, 1)
			require.NoError(t, err)
		}
		c.Add()
		time.Sleep(20 * time.Second)
		c.Node(0).StandStill(30 * time.Second)
		c.Resume(0)
		for turn := range 5000 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			n, err := counted.Call(ctx, c.Node(0), ids[turn%len(ids)], sessionproc.None{})
			cancel()
			if err == nil {
				require.Equal(t, 1, n, "%s, in turn %d", ids[turn%len(ids)], turn)
			}
			time.Sleep(time.Millisecond)
		}
		for _, id := range ids {
			require.Equal(t, 1, countedAt(t, c, id))
		}
	})
}
