package node_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// leavingNode is one of two nodes, that leaves for as long as a handler sleeps or until
// DrainTimeout, 30 s.
func leavingNode(t *testing.T, sleeps time.Duration) (n *node.Node, first chan error) {
	c := nodetest.NewCluster(t, 2, newSleepers)
	time.Sleep(time.Second)
	id := ownedBy(c, 0, "s")
	require.NoError(t, sleepers.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
	go func() { _, _ = sleep.Call(context.Background(), c.Node(0), id, sleeps) }()
	time.Sleep(10 * time.Millisecond)
	n, first = c.Node(0), make(chan error, 1)
	go func() { first <- n.Leave(context.Background()) }()
	time.Sleep(10 * time.Millisecond)
	return n, first
}

// Whoever leaves while another one leaves waits for that within its ctx, and says what
// has come of it.
func TestSecondLeaveWaitsForTheFirst(t *testing.T) {
	within := func(d time.Duration) (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.Background(), d)
	}
	t.Run("its ctx ends before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, first := leavingNode(t, 10*time.Second)
			ctx, cancel := within(100 * time.Millisecond)
			defer cancel()
			begun := time.Now()
			require.ErrorIs(t, n.Leave(ctx), context.DeadlineExceeded)
			require.Equal(t, 100*time.Millisecond, time.Since(begun))
			require.ErrorIs(t, n.Leave(ctx), context.DeadlineExceeded, "it had ended")
			require.NoError(t, <-first, "it goes on")
			require.NoError(t, n.Leave(ctx), "there is nothing to wait for")
		})
	})
	t.Run("it waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, first := leavingNode(t, 10*time.Second)
			require.NoError(t, n.Leave(context.Background()))
			require.NoError(t, <-first)
			require.ErrorIs(t, n.Ready(), sessionproc.ErrClosed)
		})
	})
	t.Run("the first fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, first := leavingNode(t, time.Minute)
			err := n.Leave(context.Background())
			require.ErrorContains(t, err, "1 of kind \"sleeper\"")
			require.Equal(t, err, <-first)
			require.Equal(t, err, n.Leave(context.Background()))
		})
	})
	t.Run("after Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := nodetest.NewCluster(t, 1, newSleepers).Node(0)
			require.NoError(t, sleepers.Start(t.Context(), n, "a", sessionproc.None{}))
			go func() { _, _ = sleep.Call(context.Background(), n, "a", 3*time.Second) }()
			synctest.Wait()
			closed := make(chan error, 1)
			go func() { closed <- n.Close() }()
			synctest.Wait()
			ctx, cancel := within(time.Second)
			defer cancel()
			for range 2 {
				require.ErrorIs(t, n.Leave(ctx), context.DeadlineExceeded)
			}
			require.NoError(t, <-closed)
			require.NoError(t, n.Leave(ctx))
		})
	})
}

// A Close cuts a Leave short, which says so; a Drain too.
func TestCloseCutsLeaveAndDrainShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, first := leavingNode(t, 3*time.Second)
		drained := make(chan error, 1)
		go func() { drained <- n.Drain(context.Background()) }()
		synctest.Wait()
		begun := time.Now()
		require.NoError(t, n.Close())
		assert.ErrorIs(t, <-first, sessionproc.ErrClosed)
		assert.ErrorIs(t, <-drained, sessionproc.ErrClosed)
		assert.Less(t, time.Since(begun), 4*time.Second)
		require.ErrorIs(t, n.Drain(context.Background()), sessionproc.ErrClosed)
	})
}
