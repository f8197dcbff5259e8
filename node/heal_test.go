package node_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Two kinds that collect words: one can merge, one cannot.
var (
	bags     = sessionproc.KindOf[sessionproc.None]("bag")
	putBag   = sessionproc.MethodOf[string, bagged](bags, "put")
	lists    = sessionproc.KindOf[sessionproc.None]("list")
	putList  = sessionproc.MethodOf[string, bagged](lists, "put")
	lostList = make(chan sessionproc.Reason, 10)
)

type bagged struct {
	Words       []string
	Incarnation sessionproc.Incarnation
}

type list struct{ Words []string }

func (l *list) put(ctx context.Context, w string) (bagged, error) {
	if w != "" {
		l.Words = append(l.Words, w)
	}
	return bagged{l.Words, sessionproc.FromContext(ctx).Incarnation()}, nil
}

func (l *list) ended(_ context.Context, r sessionproc.Reason) { lostList <- r }

type bag struct{ list }

func (b *bag) merge(_ context.Context, other *bag) error {
	for _, w := range other.Words {
		if !slices.Contains(b.Words, w) {
			b.Words = append(b.Words, w)
		}
	}
	slices.Sort(b.Words)
	return nil
}

func newBags() sessionproc.AnyKind {
	k := sessionproc.NewKind(bags, startsAs[bag], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, putBag, func(b *bag, ctx context.Context, w string) (bagged, error) { return b.put(ctx, w) })
	k.OnMerge((*bag).merge)
	return k
}

func newLists() sessionproc.AnyKind {
	k := sessionproc.NewKind(lists, startsAs[list], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, putList, (*list).put)
	k.OnEnd((*list).ended)
	return k
}

// parted starts a session on node 2 of three, gives it a word, and cuts the node
// off; the others start the session anew. All nodes write into told.
func parted(t *testing.T, kind *sessionproc.KindRef[sessionproc.None], put *sessionproc.Method[string, bagged],
	told *book) (*nodetest.Cluster, string) {
	c := tuned(t, 3, func(_ int, cfg *node.Config) { cfg.Trace = told.trace() }, newBags, newLists)
	time.Sleep(time.Second) // node 2 has its partitions
	id := idAt(c, 2)
	require.NoError(t, kind.Start(t.Context(), c.Caller(), id, sessionproc.None{}))
	_, err := put.Call(t.Context(), c.Node(2), id, "before")
	require.NoError(t, err)
	c.Isolate(2)
	c.Settle()
	_, err = put.Call(t.Context(), c.Node(0), id, "")
	require.ErrorIs(t, err, sessionproc.ErrNotFound)
	require.NoError(t, kind.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
	return c, id
}

func healed(t *testing.T, c *nodetest.Cluster, id string, put *sessionproc.Method[string, bagged]) bagged {
	c.Heal()
	c.Settle()
	time.Sleep(5 * time.Second)
	got, err := put.Call(t.Context(), c.Node(0), id, "")
	require.NoError(t, err)
	again, err := put.Call(t.Context(), c.Node(2), id, "")
	require.NoError(t, err)
	require.Equal(t, got, again)
	sessions := 0
	for i := range 3 {
		sessions += c.Node(i).Sessions()
	}
	require.Equal(t, 1, sessions)
	return got
}

// Both sides of a partition change a session whose kind merges: every change is
// there afterwards, in one process.
func TestHealedSessionsAreMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := new(book)
		c, id := parted(t, bags, putBag, told)
		_, err := putBag.Call(t.Context(), c.Node(2), id, "here")
		require.NoError(t, err)
		_, err = putBag.Call(t.Context(), c.Node(1), id, "there")
		require.NoError(t, err)
		require.Equal(t, []string{"before", "here", "there"}, healed(t, c, id, putBag).Words)
		require.Equal(t, node.TraceSessionConflict{Session: sessionproc.LogID(id), Kind: "bag", Merged: true},
			of[node.TraceSessionConflict](t, told.take()))
	})
}

// A kind that cannot merge keeps one copy, and the other one is told.
func TestHealedSessionsThatCannotMergeKeepOneCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := new(book)
		c, id := parted(t, lists, putList, told)
		_, err := putList.Call(t.Context(), c.Node(1), id, "there")
		require.NoError(t, err)
		got := healed(t, c, id, putList)
		require.Contains(t, [][]string{{"before"}, {"there"}}, got.Words)
		require.Equal(t, sessionproc.ReasonConflict, <-lostList)
		require.Equal(t, node.TraceSessionConflict{Session: sessionproc.LogID(id), Kind: "list"},
			of[node.TraceSessionConflict](t, told.take()))
	})
}

// Nothing happened while two nodes did not see each other: one process goes on, with
// its state and incarnation, and nobody is told of a conflict.
func TestHealedSessionsThatDidNotChangeGoOnAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newBags, newLists)
		time.Sleep(time.Second) // node 2 has its partitions
		id := idAt(c, 2)
		require.NoError(t, lists.Start(t.Context(), c.Caller(), id, sessionproc.None{}))
		before, err := putList.Call(t.Context(), c.Node(2), id, "before")
		require.NoError(t, err)
		c.Isolate(2)
		c.Settle()
		require.Equal(t, before, healed(t, c, id, putList))
		require.Empty(t, lostList)
	})
}

// Both sides of a cut start sessions of different kinds under the same IDs: one of each
// two goes on, the other one ends with a conflict, and the counts are right.
func TestHealedSessionsOfDifferentKindsKeepOne(t *testing.T) {
	for _, later := range []int{0, 2} { // the side whose sessions have the higher incarnations
		synctest.Test(t, func(t *testing.T) {
			c := nodetest.NewCluster(t, 3, newBags, newLists)
			time.Sleep(time.Second)
			var ids []string
			for range 10 {
				ids = append(ids, idAt(c, 0))
			}
			c.Isolate(2)
			c.Settle()
			for range 30 {
				require.NoError(t, bags.Start(t.Context(), c.Node(later), sessionproc.NewID(), sessionproc.None{}))
			}
			for _, id := range ids {
				require.NoError(t, bags.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
				require.NoError(t, lists.Start(t.Context(), c.Node(2), id, sessionproc.None{}))
			}
			c.Heal()
			c.Settle()
			time.Sleep(time.Minute)
			asBag := 0
			for _, id := range ids {
				_, errBag := putBag.Call(t.Context(), c.Node(1), id, "")
				_, errList := putList.Call(t.Context(), c.Node(1), id, "")
				if errBag == nil {
					asBag++
					require.ErrorIs(t, errList, sessionproc.ErrWrongKind)
				} else {
					require.ErrorIs(t, errBag, sessionproc.ErrWrongKind)
					require.NoError(t, errList)
				}
			}
			require.Equal(t, map[int]int{0: 10, 2: 0}[later], asBag, "the higher incarnations go on")
			s, err := c.Node(0).Stats(t.Context())
			require.NoError(t, err)
			require.Equal(t, 30+asBag, s.Total.Kinds["bag"])
			require.Equal(t, 10-asBag, s.Total.Kinds["list"])
			require.EqualValues(t, 10, s.Total.Conflicts)
			require.EqualValues(t, 10, s.Total.Ends[sessionproc.ReasonConflict])
			require.Zero(t, s.Total.Crashes)
			require.Len(t, lostList, asBag, "as many lists were told")
			for len(lostList) > 0 {
				require.Equal(t, sessionproc.ReasonConflict, <-lostList)
			}
		})
	}
}
