package node_test

import (
	"context"
	"fmt"
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

// A guest has its user as a label.
var (
	guests = sessionproc.KindOf[string]("guest")
	greet  = sessionproc.NoticeOf[sessionproc.None](guests, "greet")
)

type guest struct{}

func newGuests() sessionproc.AnyKind {
	k := sessionproc.NewKind(guests, func(ctx context.Context, user string) (*guest, error) {
		return &guest{}, sessionproc.FromContext(ctx).SetLabel("user", user)
	}, sessionproc.KindConfig{})
	sessionproc.HandleCast(k, greet, func(*guest, context.Context, sessionproc.None) error { return nil })
	return k
}

// startGuests starts guests on all nodes and returns how many each has.
func startGuests(t *testing.T, c *nodetest.Cluster, count int) map[string]int {
	t.Helper()
	args, at := map[string]string{}, map[string]int{}
	for i := range count {
		id := fmt.Sprintf("guest-%d", i)
		args[id] = "ann"
		at[c.Node(c.Owner(id)).Name()]++
	}
	require.Empty(t, guests.StartMany(t.Context(), c.Node(0), args))
	return at
}

func TestStatsOfAnEmptyClusterComeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newGuests)
		begin := time.Now()
		s, err := c.Node(1).Stats(t.Context())
		require.NoError(t, err)
		require.Less(t, time.Since(begin), 100*time.Millisecond, "there is nobody to look for")
		require.Len(t, s.Nodes, 3)
		require.Positive(t, s.Total.Inflight, "the question itself")
		s.Total.Inflight = 0
		require.Equal(t, node.NodeStats{Kinds: map[string]int{}, Ends: map[sessionproc.Reason]int64{}}, s.Total)
		for range c.Node(1).List(t.Context(), node.ListOptions{}) {
			require.Fail(t, "there is no session")
		}
		n, err := c.Node(1).TerminateLabelled(t.Context(), "user", "ann")
		require.NoError(t, err)
		require.Zero(t, n)
		r, err := greet.Broadcast(t.Context(), c.Node(1), sessionproc.None{})
		require.NoError(t, err)
		require.Zero(t, r)
	})
}

func TestListOfManyPagesHasEachSessionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.Start(t, nodetest.Config{Kinds: []nodetest.KindFunc{newGuests},
			Tune: func(_ int, cfg *node.Config) { cfg.MaxFrame = 64 << 10 }})
		at := startGuests(t, c, 5000)
		seen := map[string]bool{}
		for s, err := range c.Node(2).List(t.Context(), node.ListOptions{}) {
			require.NoError(t, err)
			require.False(t, seen[s.ID])
			seen[s.ID] = true
			at[s.Node]--
		}
		require.Len(t, seen, 5000)
		for _, left := range at {
			require.Zero(t, left)
		}
	})
}

// A node that is cut off and not known to be: everybody else answers at once, and
// it is named when ctx ends.
func TestQueryNamesANodeThatDoesNotAnswer(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newGuests)
		at := startGuests(t, c, 3000)
		n, lost := c.Node(0), c.Node(2).Name()
		here := 3000 - at[lost]
		const limit = time.Second // it is taken for dead after two
		requireNamed := func(err error, begin time.Time) {
			t.Helper()
			partial := new(node.PartialError)
			require.ErrorAs(t, err, &partial)
			require.Len(t, partial.Nodes, 1)
			require.Contains(t, partial.Nodes, lost)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, lost)
			require.LessOrEqual(t, time.Since(begin), limit+10*time.Millisecond)
			c.Heal()
			time.Sleep(20 * time.Second) // nobody suspects it any more
			c.Settle()
		}
		cut := func() (context.Context, time.Time) {
			c.Isolate(2)
			ctx := lasting(t, limit)
			return ctx, time.Now()
		}

		ctx, begin := cut()
		listed, first := 0, time.Duration(0)
		var last error
		for s, err := range n.List(ctx, node.ListOptions{}) {
			require.NoError(t, last, "an error is the last pair")
			if last = err; err != nil {
				require.Zero(t, s)
				continue
			}
			if listed++; first == 0 {
				first = time.Since(begin)
			}
		}
		require.Equal(t, here, listed)
		require.Less(t, first, limit/2, "the others do not wait for it")
		requireNamed(last, begin)

		ctx, begin = cut()
		s, err := n.Stats(ctx)
		require.Equal(t, here, s.Total.Kinds[guests.Name()])
		requireNamed(err, begin)

		ctx, begin = cut()
		r, err := greet.Broadcast(ctx, n, sessionproc.None{})
		require.Equal(t, sessionproc.Reach{Delivered: here}, r)
		requireNamed(err, begin)

		ctx, begin = cut()
		_, err = n.Inspect(ctx, "nobody", node.InspectOptions{})
		requireNamed(err, begin)
		i, err := n.Inspect(t.Context(), "guest-1", node.InspectOptions{})
		require.NoError(t, err)
		require.Equal(t, "guest-1", i.ID)

		ctx, begin = cut()
		ended, err := n.TerminateLabelled(ctx, "user", "ann")
		require.Equal(t, here, ended)
		requireNamed(err, begin)
		_, err = n.TerminateLabelled(t.Context(), "user", "ann")
		require.NoError(t, err)
		for range n.List(t.Context(), node.ListOptions{}) {
			require.Fail(t, "all have ended")
		}
	})
}

// A node that is taken for dead hears of it when it comes back within the minute.
func TestLogOutReachesSessionsBehindACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newGuests)
		startGuests(t, c, 300)
		c.Isolate(2)
		c.Settle()
		_, err := c.Node(0).TerminateLabelled(t.Context(), "user", "ann")
		require.NoError(t, err, "nobody is missed")
		require.NotZero(t, c.Node(2).Sessions())
		time.Sleep(2 * time.Second) // up to one later is ended too, if it moves
		require.NoError(t, guests.Start(t.Context(), c.Node(0), "guest-0", "ann"))
		c.Heal()
		c.Settle()
		time.Sleep(3 * time.Second)
		var left []string
		for s, err := range c.Node(2).List(t.Context(), node.ListOptions{}) {
			require.NoError(t, err)
			left = append(left, s.ID)
		}
		require.Equal(t, []string{"guest-0"}, left, "who logs in later stays")
	})
}

func TestQueriesOfAClosedNodeAreErrClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodetest.NewCluster(t, 1, newGuests).Node(0)
		require.NoError(t, n.Close())
		for _, err := range n.List(t.Context(), node.ListOptions{}) {
			require.ErrorIs(t, err, sessionproc.ErrClosed)
		}
		_, err := n.Stats(t.Context())
		require.ErrorIs(t, err, sessionproc.ErrClosed)
		_, err = n.Inspect(t.Context(), "a", node.InspectOptions{})
		require.ErrorIs(t, err, sessionproc.ErrClosed)
		_, err = greet.Broadcast(t.Context(), n, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrClosed)
		_, err = n.TerminateLabelled(t.Context(), "user", "ann")
		require.ErrorIs(t, err, sessionproc.ErrClosed)
		require.ErrorIs(t, n.TerminateMany(t.Context(), []string{"a"})["a"], sessionproc.ErrClosed)
		require.ErrorIs(t, guests.StartMany(t.Context(), n, map[string]string{"a": ""})["a"], sessionproc.ErrClosed)
	})
}

// A session that moves past the question is asked for again.
func TestInspectFindsSessionsThatMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newCounters)
		ids := startOn(t, c, 0, 300)
		drained := make(chan error, 1)
		go func() { drained <- c.Node(0).Drain(t.Context()) }()
		for c.Node(0).Sessions() > 0 {
			var all sync.WaitGroup
			for _, id := range ids {
				all.Go(func() {
					i, err := c.Node(1).Inspect(t.Context(), id, node.InspectOptions{})
					assert.NoError(t, err)
					assert.Equal(t, id, i.ID)
				})
			}
			all.Wait()
		}
		require.NoError(t, <-drained)
	})
}
