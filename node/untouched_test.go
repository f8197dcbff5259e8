package node_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// cutAsItArrives starts sessions with a word on two nodes and adds node 2, which is cut
// off in the instant in which it has taken the first session over: its source does not
// hear of it, takes node 2 for dead, and has its own copy run again.
func cutAsItArrives(t *testing.T, kind *sessionproc.KindRef[sessionproc.None],
	put *sessionproc.Method[string, bagged]) (c *nodetest.Cluster, id string) {
	var arrived atomic.Pointer[string]
	c = tuned(t, 2, func(i int, cfg *node.Config) {
		if i != 2 {
			return
		}
		cfg.Trace = &node.Trace{SessionMoved: func(m node.TraceSessionMoved) {
			if m.Arrived && arrived.CompareAndSwap(nil, &m.Session) {
				c.Network().Cut(c.Host(2), c.Host(0))
				c.Network().Cut(c.Host(2), c.Host(1))
			}
		}}
	}, newBags, newLists)
	ids := map[string]string{}
	for range 40 {
		id := sessionproc.NewID()
		ids[sessionproc.LogID(id)] = id
		require.NoError(t, kind.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
		_, err := put.Call(t.Context(), c.Node(0), id, "first")
		require.NoError(t, err)
	}
	c.Add()
	for arrived.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	return c, ids[*arrived.Load()]
}

// rejoin heals the cut when the source has had its copy run again.
func rejoin(t *testing.T, c *nodetest.Cluster, id string) {
	time.Sleep(20 * time.Second)
	there, err := c.Node(0).Started(t.Context(), id)
	require.NoError(t, err)
	require.True(t, there, "it runs on the other side, too")
	c.Heal()
	time.Sleep(30 * time.Second)
}

// requireWords wants a session to have these words, whichever node is asked.
func requireWords(t *testing.T, c *nodetest.Cluster, put *sessionproc.Method[string, bagged], id string,
	want ...string) {
	t.Helper()
	for i := range 3 {
		got, err := put.Call(t.Context(), c.Node(i), id, "")
		require.NoError(t, err)
		require.Equal(t, want, got.Words)
	}
}

// What a session has acknowledged on one side of a cut is not lost to a copy of it that
// came to run on the other side and has done nothing there, though that has the higher
// incarnation and its kind cannot merge.
func TestUntouchedCopyGivesWayWhenACutHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, id := cutAsItArrives(t, lists, putList)
		_, err := putList.Call(t.Context(), c.Node(2), id, "acknowledged")
		require.NoError(t, err)
		rejoin(t, c, id)
		requireWords(t, c, putList, id, "first", "acknowledged")
		require.Empty(t, lostList, "there was no conflict")
	})
}

// A session that was terminated on one side of a cut, and started anew there while
// an older copy could still come back, is not merged with that copy.
func TestSuccessorIsNotMergedWithItsPredecessorWhenACutHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, id := cutAsItArrives(t, bags, putBag)
		require.NoError(t, c.Node(2).Terminate(t.Context(), id))
		require.NoError(t, bags.Start(t.Context(), c.Node(2), id, sessionproc.None{}))
		_, err := putBag.Call(t.Context(), c.Node(2), id, "second")
		require.NoError(t, err)
		rejoin(t, c, id)
		requireWords(t, c, putBag, id, "second")
	})
}

// The same when the other members have been gone for so long that the node keeps no
// tombstones: what was terminated there does not come back, and what was started anew is
// not merged with it.
func TestEndHoldsWhereTombstonesAreForgotten(t *testing.T) {
	for _, anew := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, id := cutAsItArrives(t, bags, putBag)
			time.Sleep(20 * time.Second)
			require.NoError(t, c.Node(2).Terminate(t.Context(), id))
			if anew {
				require.NoError(t, bags.Start(t.Context(), c.Node(2), id, sessionproc.None{}))
				_, err := putBag.Call(t.Context(), c.Node(2), id, "second")
				require.NoError(t, err)
			}
			rejoin(t, c, id)
			for i := range 3 {
				got, err := putBag.Call(t.Context(), c.Node(i), id, "")
				if !anew {
					require.ErrorIs(t, err, sessionproc.ErrNotFound)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, []string{"second"}, got.Words)
			}
		})
	}
}
