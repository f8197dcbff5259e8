package nodetest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// ownedBy returns n IDs of sessions that node i owns.
func ownedBy(c *nodetest.Cluster, i, n int) (ids []string) {
	for k := 0; len(ids) < n; k++ {
		if id := fmt.Sprintf("cart-%d", k); c.Owner(id) == i {
			ids = append(ids, id)
		}
	}
	return ids
}

func startAll(t *testing.T, c *nodetest.Cluster, ids []string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, carts.Start(t.Context(), c.Caller(), id, "ann"))
	}
}

// startCart starts one that node i owns.
func startCart(t *testing.T, c *nodetest.Cluster, i int) (id string) {
	t.Helper()
	time.Sleep(time.Second) // until the nodes have the partitions they own, see Settle
	id = ownedBy(c, i, 1)[0]
	startAll(t, c, []string{id})
	return id
}

// within is the test's ctx with a timeout.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func members(c *nodetest.Cluster, i int) (slots []string) {
	for _, m := range c.Node(i).Members() {
		slots = append(slots, m.Slot)
	}
	return slots
}

func TestSessionsAreReachedThroughEveryNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, cartKind)
		for owner := range 3 {
			id := startCart(t, c, owner)
			for range 6 { // each node twice
				_, err := add.Call(t.Context(), c.Caller(), id, item{"tea", 1})
				require.NoError(t, err)
			}
			v, err := look.Call(t.Context(), c.Node((owner+1)%3), id, sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, map[string]int{"tea": 6}, v.Items)
			require.Equal(t, 1, c.Node(owner).Sessions())
		}
	})
}

func TestCrashLosesTheSessionsOfOneNodeOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, cartKind)
		lost, kept := ownedBy(c, 1, 5), ownedBy(c, 2, 5)
		startAll(t, c, append(append([]string(nil), lost...), kept...))
		c.Crash(1)
		begin := time.Now()
		c.Settle()
		require.Greater(t, time.Since(begin), time.Second, "nobody was told")
		require.Less(t, time.Since(begin), 10*time.Second)
		require.Equal(t, []string{"n0", "n2"}, members(c, 0))
		for _, id := range lost {
			_, err := look.Call(t.Context(), c.Caller(), id, sessionproc.None{})
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
		}
		for _, id := range kept {
			_, err := look.Call(t.Context(), c.Caller(), id, sessionproc.None{})
			require.NoError(t, err)
		}
	})
}

func TestPowerOffIsDetected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, cartKind)
		id := startCart(t, c, 2)
		c.PowerOff(2)
		ctx := within(t, time.Second)
		_, err := add.Call(ctx, c.Node(0), id, item{})
		require.ErrorIs(t, err, context.DeadlineExceeded, "nobody answers and nobody refuses")
		c.Settle()
		require.Equal(t, []string{"n0", "n1"}, members(c, 0))
	})
}

func TestRestartedNodeGetsItsPartitionsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, cartKind)
		id := ownedBy(c, 1, 1)[0]
		before := c.Node(1)
		for _, end := range []func(int){c.Crash, c.PowerOff, c.Leave} {
			end(1)
			c.Restart(1)
			c.Settle()
			require.Equal(t, 1, c.Owner(id))
			require.Equal(t, before.Slot(), c.Node(1).Slot())
			require.Equal(t, before.Addr(), c.Node(1).Addr())
			require.NotEqual(t, before.Name(), c.Node(1).Name())
			startAll(t, c, []string{id})
			require.NoError(t, c.Node(0).Terminate(t.Context(), id))
		}
	})
}

func TestWholeClusterCanRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, cartKind)
		c.Crash(0)
		c.Crash(1)
		err := carts.Start(t.Context(), c.Caller(), "a", "ann")
		require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		c.Restart(1)
		c.Restart(0)
		c.Settle()
		startAll(t, c, []string{"a"})
	})
}

func TestLeaveIsKnownAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, cartKind)
		c.Leave(0)
		begin := time.Now()
		c.Settle()
		require.Less(t, time.Since(begin), time.Second)
		require.Equal(t, 3, c.Add())
		c.Settle()
		require.Equal(t, []string{"n1", "n2", "n3"}, members(c, 3))
		require.Equal(t, 4, c.Len())
	})
}

func TestPartitionHeals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 5, cartKind)
		c.Isolate(3, 4)
		c.Settle()
		require.Equal(t, []string{"n0", "n1", "n2"}, members(c, 0))
		require.Equal(t, []string{"n3", "n4"}, members(c, 4))
		time.Sleep(time.Minute)
		c.Heal()
		c.Settle()
		require.Len(t, members(c, 4), 5)
	})
}

// Two nodes that cannot reach each other stay members, by way of the third.
func TestCutBetweenTwoNodesKeepsAllMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, cartKind)
		id := startCart(t, c, 1)
		c.Cut(0, 1)
		time.Sleep(time.Minute)
		c.Settle()
		require.Len(t, members(c, 0), 3)
		ctx := within(t, time.Second)
		_, err := look.Call(ctx, c.Node(0), id, sessionproc.None{})
		require.Error(t, err)
		_, err = look.Call(t.Context(), c.Node(2), id, sessionproc.None{})
		require.NoError(t, err)
		c.Heal()
		_, err = look.Call(t.Context(), c.Node(0), id, sessionproc.None{})
		require.NoError(t, err)
	})
}

func TestShortStallIsForgiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, cartKind)
		id := startCart(t, c, 2)
		c.Stall(2)
		began := time.Now()
		time.AfterFunc(300*time.Millisecond, func() { c.Host(2).Resume() })
		_, err := add.Call(t.Context(), c.Node(0), id, item{"tea", 1})
		require.NoError(t, err, "it waited for the node to go on")
		require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
		c.Resume(2)
		time.Sleep(10 * time.Second)
		c.Settle()
		require.Equal(t, 1, c.Node(2).Sessions())
	})
}

func TestNodeRejoinsAfterALongStall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, cartKind)
		c.Stall(2)
		c.Settle()
		require.Equal(t, []string{"n0", "n1"}, members(c, 0))
		c.Resume(2)
		c.Settle()
		require.Equal(t, []string{"n0", "n1", "n2"}, members(c, 0))
	})
}

func TestDrainedNodeGoesOnForwarding(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, cartKind)
		id := startCart(t, c, 1)
		c.Drain(1)
		c.Settle()
		require.NotEqual(t, 1, c.Owner(id))
		require.Zero(t, c.Node(1).Sessions())
		_, err := look.Call(t.Context(), c.Node(1), id, sessionproc.None{})
		require.NoError(t, err)
	})
}

func TestTuneAppliesToEachNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		secret := node.NewSecret()
		var tuned []int
		c := nodetest.Start(t, nodetest.Config{
			Nodes: 2, Kinds: []nodetest.KindFunc{cartKind},
			Network: simnet.Config{Link: simnet.Link{Latency: 5 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.01}},
			Tune: func(i int, cfg *node.Config) {
				cfg.Secret = secret
				tuned = append(tuned, i)
			},
		})
		require.Equal(t, []int{0, 1}, tuned)
		id := ownedBy(c, 1, 1)[0]
		require.NoError(t, c.Node(0).Start(t.Context(), id, node.StartOptions{Arg: "bob"}),
			"the first kind is the default")
		v, err := look.Call(t.Context(), c.Node(0), id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, "bob", v.Owner)
	})
}

// The same in real time. It is the one test that waits for anything.
func TestClusterWorksInRealTime(t *testing.T) {
	shorttest.Skip(t)
	t.Parallel()
	c := nodetest.NewCluster(t, 3, cartKind)
	id := startCart(t, c, 1)
	v, err := add.Call(t.Context(), c.Caller(), id, item{"tea", 2})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"tea": 2}, v.Items)
	c.Crash(2)
	c.Settle()
	c.Leave(1)
	c.Settle()
	require.Equal(t, []string{"n0"}, members(c, 0))
	moved, err := look.Call(t.Context(), c.Caller(), id, sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, v.Items, moved.Items)
}
