package node_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The reason why a drain is told by gossip alone.
func TestDrainIsKnownWithin300Milliseconds(t *testing.T) {
	for _, size := range []int{2, 5, 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := nodetest.NewCluster(t, size)
				require.NoError(t, c.Node(0).Drain(t.Context()))
				begin := time.Now()
				go func() { _ = c.Node(1).Drain(t.Context()) }()
				knows := func(i int) bool {
					for _, m := range c.Node(i).Members() {
						if m.Slot == "n1" {
							return m.State == cluster.Draining
						}
					}
					return false
				}
				for i := range size {
					for !knows(i) {
						time.Sleep(time.Millisecond)
					}
				}
				t.Logf("%d members knew after %v", size, time.Since(begin))
				require.Less(t, time.Since(begin), 300*time.Millisecond)
			})
		})
	}
}

func TestDrainedNodeForwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		c := tuned(t, 3, log.of0(nil), newCounters)
		const all = 200
		ids := startOn(t, c, 0, all)
		n := c.Node(0)
		require.Zero(t, n.Progress().Moved)
		estimate := n.DrainEstimate()
		require.Equal(t, all, estimate.Sessions)
		require.False(t, estimate.Seen)
		require.Positive(t, estimate.Takes)
		require.NoError(t, n.Ready())

		begin := time.Now()
		require.NoError(t, n.Drain(t.Context()))
		require.Less(t, time.Since(begin), 5*time.Second)
		require.ErrorContains(t, n.Ready(), "draining")
		for range 3 {
			require.NoError(t, n.Drain(t.Context()), "again")
		}
		p := n.Progress()
		require.True(t, p.Draining)
		require.Zero(t, p.Sessions)
		require.Zero(t, p.Partitions)
		require.EqualValues(t, all, p.Moved)
		require.Positive(t, p.PerSecond)
		require.Greater(t, p.Bytes, int64(all*10))
		require.EqualValues(t, all, c.Node(1).Progress().Taken+c.Node(2).Progress().Taken)
		require.Zero(t, n.DrainEstimate().Takes)

		for i, id := range ids {
			got, err := add.Call(t.Context(), n, id, 1)
			require.NoError(t, err)
			require.Greater(t, got, i)
		}
		require.NoError(t, counters.Start(t.Context(), n, "another", 7), "and starts sessions elsewhere")
		require.Zero(t, n.Sessions())
		time.Sleep(time.Second)
		require.Len(t, log.Lines("node has drained"), 1)

		begin = time.Now()
		require.NoError(t, n.Leave(t.Context()))
		require.Less(t, time.Since(begin), 2*time.Second)
		require.ErrorIs(t, n.Drain(t.Context()), sessionproc.ErrClosed)
	})
}

func TestSeveralNodesThatDrainAtOnceLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 4, newCounters)
		for i := range 4 {
			startOn(t, c, i, 10)
		}
		before := c.Node(0).Sessions() + c.Node(1).Sessions() + c.Node(2).Sessions() + c.Node(3).Sessions()
		var both sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			both.Go(func() { errs[i] = c.Node(i).Drain(t.Context()) })
		}
		both.Wait()
		require.Equal(t, make([]error, 2), errs)
		require.Equal(t, before, c.Node(2).Sessions()+c.Node(3).Sessions())
	})
}

func TestDrainOfTheLastNodeFailsUnlessItIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodetest.NewCluster(t, 1, newCounters).Node(0)
		begin := time.Now()
		require.NoError(t, n.Drain(t.Context()), "nothing is here")
		require.Zero(t, time.Since(begin))

		n = nodetest.NewCluster(t, 1, newCounters).Node(0)
		require.NoError(t, counters.Start(t.Context(), n, "a", 1))
		require.EqualError(t, n.Drain(t.Context()),
			`node: drain: 1 sessions could not move in time (1 of kind "counter"): no other member serves`)
		got, err := add.Call(t.Context(), n, "a", 1)
		require.NoError(t, err, "it goes on")
		require.Equal(t, 2, got)
		require.NoError(t, n.Leave(t.Context()), "the end of a cluster is no fault")
	})
}

var (
	jammers = sessionproc.KindOf[sessionproc.None]("jammer")
	heed    = sessionproc.MethodOf[sessionproc.None, time.Duration](jammers, "heed")
	ignore  = sessionproc.NoticeOf[time.Duration](jammers, "ignore")
)

// newJammers makes a kind whose handlers take long: heed until its ctx ends.
func newJammers() sessionproc.AnyKind {
	k := sessionproc.NewKind(jammers, startsAs[struct{}], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, heed, heedsItsCtx)
	sessionproc.HandleCast(k, ignore, ignoresItsCtx)
	return k
}

func heedsItsCtx(_ *struct{}, ctx context.Context, _ sessionproc.None) (time.Duration, error) {
	begin := time.Now()
	<-ctx.Done()
	return time.Since(begin), nil
}

func ignoresItsCtx(_ *struct{}, _ context.Context, d time.Duration) error {
	time.Sleep(d)
	return nil
}

// A handler that takes long holds up its own session. Its ctx is cancelled after
// StopTimeout, and a warning shows where it is.
func TestStuckHandlerDelaysOnlyItsOwnSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		const patience = 3 * time.Second
		c := tuned(t, 2, log.of0(func(_ int, cfg *node.Config) { cfg.StopTimeout = patience }), newCounters, newJammers)
		startOn(t, c, 0, 100)
		stuck := owned(c, 0, 2, "jammer-")
		for _, id := range stuck {
			require.NoError(t, jammers.Start(t.Context(), c.Node(1), id, sessionproc.None{}))
		}
		heeded := make(chan time.Duration, 1)
		go func() {
			after, err := heed.Call(t.Context(), c.Node(1), stuck[0], sessionproc.None{})
			if assert.NoError(t, err) {
				heeded <- after
			}
			close(heeded)
		}()
		require.NoError(t, ignore.Cast(t.Context(), c.Node(1), stuck[1], time.Minute))
		synctest.Wait()

		n := c.Node(0)
		within := lasting(t, 2*time.Second)
		require.EqualError(t, n.Drain(within), `node: drain: 2 sessions could not move in time `+
			`(2 of kind "jammer"; 2 of them wait for a handler to return): context deadline exceeded`)
		require.NotEmpty(t, log.Lines("sessions=2 partitions=2 moved=100"), "each second")
		require.Empty(t, log.Lines("holds up"))
		select {
		case <-heeded:
			require.FailNow(t, "no handler is cancelled before its time")
		default:
		}

		begin := time.Now()
		leave := lasting(t, 5*time.Second)
		left := n.Leave(leave)
		require.InDelta(t, 5, time.Since(begin).Seconds(), 1)
		require.ErrorContains(t, left, `1 sessions could not move in time (1 of kind "jammer"; `+
			`1 of them wait for a handler to return): context deadline exceeded; these sessions have ended`)
		require.InDelta(t, patience.Seconds(), (<-heeded).Seconds(), 0.1, "its caller has its answer")
		warned := log.Lines("holds up the move")
		require.Len(t, warned, 2)
		require.Contains(t, strings.Join(warned, ""), "node_test.heedsItsCtx")
		require.Contains(t, strings.Join(warned, ""), "node_test.ignoresItsCtx")
		require.Equal(t, 101, c.Node(1).Sessions())
		time.Sleep(time.Minute)
	})
}

// A kind that only this node was given has nowhere to go, which is said at once.
func TestDrainSaysAtOnceThatNobodyTakesAKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		c := tuned(t, 3, log.of0(func(i int, cfg *node.Config) {
			cfg.DrainTimeout = 5 * time.Second
			if i == 0 {
				cfg.Kinds = append(cfg.Kinds, newJammers())
			}
		}), newCounters)
		startOn(t, c, 0, 5)
		startJammer(t, c)
		drained := make(chan error, 1)
		go func() { drained <- c.Node(0).Drain(t.Context()) }()
		time.Sleep(200 * time.Millisecond)
		said := log.Lines("no member can take the sessions of a kind")
		require.Len(t, said, 1)
		require.Contains(t, said[0], "kind=jammer sessions=1")
		begin := time.Now()
		require.EqualError(t, <-drained,
			`node: drain: 1 sessions could not move in time (1 of kind "jammer", which no member can take): `+
				`no member that stays can have them: kind "jammer": n1, n2: it was not given the kind`)
		require.Less(t, time.Since(begin), 2*time.Second, "there is nothing to wait for")
		require.Len(t, log.Lines("no member can take the sessions of a kind"), 1, "once")
		require.Equal(t, 1, c.Node(0).Sessions(), "it lives here until the node leaves")
	})
}

func TestDrainWithAnEndedCtxStillDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newCounters)
		startOn(t, c, 0, 20)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, c.Node(0).Drain(ended))
		require.Zero(t, c.Node(0).Sessions())
	})
}
