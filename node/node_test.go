package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	counters = sessionproc.KindOf[int]("counter")
	add      = sessionproc.MethodOf[int, int](counters, "add")
	added    = sessionproc.EventOf[int](counters, "added")
	bump     = sessionproc.NoticeOf[sessionproc.None](counters, "bump")
)

type counter struct{ N int }

func newCounters() sessionproc.AnyKind {
	return countersThat(func(int) {})
}

// countersThat do something when they start.
func countersThat(start func(n int)) sessionproc.AnyKind {
	k := sessionproc.NewKind(counters, func(_ context.Context, n int) (*counter, error) {
		start(n)
		return &counter{n}, nil
	}, sessionproc.KindConfig{RenewRate: 1_000_000, RenewBurst: 1_000_000})
	sessionproc.HandleEvent(k, added, func(c *counter) int { return c.N })
	sessionproc.HandleCall(k, add, func(c *counter, ctx context.Context, n int) (int, error) {
		c.N += n
		return c.N, added.Publish(ctx, c.N)
	})
	sessionproc.HandleCast(k, bump, func(c *counter, _ context.Context, _ sessionproc.None) error { c.N++; return nil })
	return k
}

func TestSessionIsCalledFromAnyNode(t *testing.T) {
	nodes := startNodes(t, 3, node.NewSecret())
	time.Sleep(500 * time.Millisecond)
	ctx := t.Context()
	for i := range 30 {
		id := fmt.Sprintf("session-%d", i)
		require.NoError(t, counters.Start(ctx, nodes[i%3], id, i))
		require.ErrorIs(t, counters.Start(ctx, nodes[(i+1)%3], id, i), sessionproc.ErrAlreadyStarted)
		for j, n := range nodes {
			require.NoError(t, bump.Cast(ctx, n, id, sessionproc.None{}))
			got, err := add.Call(ctx, n, id, 10)
			require.NoError(t, err)
			require.Equal(t, i+11*(j+1), got)
		}
		require.NoError(t, nodes[2].Terminate(ctx, id))
		started, err := nodes[0].Started(ctx, id)
		require.NoError(t, err)
		require.False(t, started)
		_, err = add.Call(ctx, nodes[1], id, 1)
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		require.False(t, sessionproc.MaybeExecuted(err))
	}
}
