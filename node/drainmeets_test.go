package node_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A drain to a member that has no more room says so, does not pretend to be about done,
// and goes on when there is room again.
func TestDrainToAFullNodeSaysSoAndGoesOn(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 2, func(i int, cfg *node.Config) {
			if i == 1 {
				cfg.MaxSessions = 100
			}
		}, newCounters)
		startOn(t, c, 0, 400)
		n := c.Node(0)
		within := lasting(t, 20*time.Second)
		err := n.Drain(within)
		said, ok := errors.AsType[*node.DrainError](err)
		require.True(t, ok, err)
		require.Equal(t, map[string]int{"counter": 300}, said.Kinds)
		require.Contains(t, said.Causes["counter"], "Config.MaxSessions is 100")
		require.Empty(t, said.Untaken)
		require.True(t, said.Continues)
		require.Greater(t, n.DrainEstimate().Takes, 20*time.Second, "nothing moves")

		var there []string
		for info, err := range n.List(t.Context(), node.ListOptions{Node: c.Node(1).Name()}) {
			require.NoError(t, err)
			there = append(there, info.ID)
		}
		require.Len(t, there, 100)
		require.Empty(t, n.TerminateMany(t.Context(), there))
		require.Zero(t, c.Node(1).Sessions())
		require.Equal(t, 300, n.Sessions())
		time.Sleep(2 * time.Minute)
		require.Equal(t, 100, c.Node(1).Sessions(), "it has asked for them again")
		require.Equal(t, 200, n.Sessions())
	})
}

// A node that loses its quorum while it drains keeps what it has, and drains on when it
// has it again.
func TestDrainWithoutQuorumKeepsItsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 2, func(_ int, cfg *node.Config) {
			cfg.HandoffBytesPerSecond = 16 << 10
		}, newCounters)
		ids := startOn(t, c, 0, 2000)
		n := c.Node(0)
		done := make(chan error, 1)
		go func() { done <- n.Drain(lasting(t, 2*time.Minute)) }()
		time.Sleep(5 * time.Second)
		n.LoseQuorum(true)
		time.Sleep(5 * time.Second)
		n.LoseQuorum(false)
		require.NoError(t, <-done)
		require.Equal(t, len(ids), c.Node(1).Sessions())
		for k, id := range ids {
			got, err := add.Call(t.Context(), c.Node(1), id, 0)
			require.NoError(t, err)
			require.GreaterOrEqual(t, got, k)
		}
	})
}

// Sessions that need many chunks and sessions of which many fit into one drain together.
func TestDrainMovesLargeAndSmallSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newCounters, newHeavies)
		startOn(t, c, 0, 1000)
		large := map[string]int{}
		for k, id := range owned(c, 0, 20, "heavy-") {
			large[id] = 1 << (10 + k%12)
			require.NoError(t, heavies.Start(t.Context(), c.Node(0), id, large[id]))
		}
		begin := time.Now()
		require.NoError(t, c.Node(0).Drain(lasting(t, 30*time.Second)))
		require.Less(t, time.Since(begin), 20*time.Second)
		require.Equal(t, 1020, c.Node(1).Sessions())
		for id, size := range large {
			got, err := weightOf.Call(t.Context(), c.Node(1), id, sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, size, got)
		}
	})
}

var (
	heavies  = sessionproc.KindOf[int]("heavy")
	weightOf = sessionproc.MethodOf[sessionproc.None, int](heavies, "weight")
)

type heavy struct{ Load []byte }

// newHeavies makes a kind of sessions of so many bytes.
func newHeavies() sessionproc.AnyKind {
	k := sessionproc.NewKind(heavies, func(_ context.Context, size int) (*heavy, error) {
		return &heavy{bytes.Repeat([]byte{7}, size)}, nil
	}, sessionproc.KindConfig{WarnState: 64 << 20})
	sessionproc.HandleCall(k, weightOf, func(h *heavy, _ context.Context, _ sessionproc.None) (int, error) {
		return bytes.Count(h.Load, []byte{7}), nil
	})
	return k
}

// A member that has no room when a drain begins, and has it before that ends, takes the
// sessions then.
func TestLeaveWaitsForRoomAtTheOtherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 2, func(_ int, cfg *node.Config) {
			cfg.MaxSessions = 300
		}, newCounters)
		startOn(t, c, 0, 300)
		theirs := startOn(t, c, 1, 300)
		time.AfterFunc(8*time.Second, func() { c.Node(1).TerminateMany(context.Background(), theirs) })
		require.NoError(t, c.Node(0).Leave(lasting(t, 30*time.Second)))
		require.Equal(t, 300, c.Node(1).Sessions())
	})
}
