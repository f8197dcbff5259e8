package node_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A node that joins above its memory mark gets nothing; below it again it starts
// sessions at once, and those that it has refused come.
func TestANodeBelowItsMemoryMarkAgainTakesSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heap atomic.Int64
		heap.Store(101)
		c := tuned(t, 1, func(i int, cfg *node.Config) {
			if i == 1 {
				cfg.MemoryMark = 100
				cfg.UseHeap(heap.Load)
			}
		}, newCounters)
		var ids []string
		for i := range 100 {
			ids = append(ids, fmt.Sprintf("counter-%d", i))
			require.NoError(t, counters.Start(t.Context(), c.Node(0), ids[i], i))
		}
		c.Add()
		c.Settle()
		time.Sleep(10 * time.Second)
		theirs := 0
		for _, id := range ids {
			if c.Owner(id) == 1 {
				theirs++
			}
		}
		require.Greater(t, theirs, 10)
		fresh := ownedBy(c, 1, "fresh-")

		full := c.Node(1)
		require.Zero(t, full.Sessions())
		require.Contains(t, full.Health().Memory, sessionproc.ErrMemoryMark.Error())
		for i := range c.Len() {
			require.ErrorIs(t, counters.Start(t.Context(), c.Node(i), fresh, 0), sessionproc.ErrMemoryMark)
		}

		heap.Store(100)
		time.Sleep(2 * time.Second)
		require.Empty(t, full.Health().Memory)
		require.NoError(t, counters.Start(t.Context(), c.Node(0), fresh, 0))

		time.Sleep(2 * time.Minute)
		require.Equal(t, theirs+1, full.Sessions())
		require.Equal(t, len(ids)-theirs, c.Node(0).Sessions())
		for i, id := range ids {
			n, err := add.Call(t.Context(), c.Node(i%2), id, 1)
			require.NoError(t, err)
			require.Equal(t, i+1, n)
		}
	})
}
