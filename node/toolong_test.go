package node_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// narrow is a cluster of two whose sessions take a minute to move, whatever deadline
// there is: they have about 130 bytes each.
func narrow(t *testing.T, tune func(i int, cfg *node.Config)) *nodetest.Cluster {
	c := tuned(t, 2, func(i int, cfg *node.Config) {
		cfg.HandoffBytesPerSecond = 4 << 10
		if tune != nil {
			tune(i, cfg)
		}
	}, newCounters)
	startOn(t, c, 0, 2000)
	return c
}

func TestDrainSaysAtOnceThatItsDeadlineCannotBeMet(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		var log logged
		c := narrow(t, log.of0(nil))
		n := c.Node(0)
		ctx := lasting(t, 20*time.Second)
		begin := time.Now()
		err := n.Drain(ctx)
		require.Less(t, time.Since(begin), 6*time.Second)
		require.ErrorIs(t, err, node.ErrDrainTooLong)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		said, ok := errors.AsType[*node.DrainError](err)
		require.True(t, ok)
		require.True(t, said.Continues)
		require.Equal(t, map[string]int{"counter": said.Sessions}, said.Kinds)
		require.InDelta(t, 2000, said.Sessions, 800)
		require.Len(t, log.Lines("cannot be done by its deadline"), 1)
		require.Greater(t, said.Takes, 20*time.Second)

		left := n.Sessions()
		time.Sleep(20 * time.Second)
		require.Less(t, n.Sessions(), left, "they go on moving")
		more := lasting(t, 3*time.Minute)
		require.NoError(t, n.Drain(more))
		require.Equal(t, 2000, c.Node(1).Sessions())
		require.Len(t, log.Lines("cannot be done by its deadline"), 1, "this one could be")
	})
}

func TestLeaveBeyondItsDeadlineHasLeaveGrace(t *testing.T) {
	shorttest.Skip(t)
	leave := func(t *testing.T, c *nodetest.Cluster) (took time.Duration, err error) {
		ctx := lasting(t, 20*time.Second)
		begin := time.Now()
		err = c.Node(0).Leave(ctx)
		return time.Since(begin), err
	}
	t.Run("without one it ends at the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := narrow(t, nil)
			took, err := leave(t, c)
			require.InDelta(t, 20, took.Seconds(), 1)
			said, ok := errors.AsType[*node.DrainError](err)
			require.True(t, ok)
			require.False(t, said.Continues)
			require.ErrorContains(t, err, "these sessions have ended")
			require.Less(t, c.Node(1).Sessions(), 2000)
		})
	})
	t.Run("a long one lets all sessions move", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := narrow(t, func(_ int, cfg *node.Config) { cfg.LeaveGrace = 5 * time.Minute })
			took, err := leave(t, c)
			require.NoError(t, err)
			require.Greater(t, took, 20*time.Second)
			require.Less(t, took, 3*time.Minute)
			require.Equal(t, 2000, c.Node(1).Sessions())
		})
	})
	t.Run("a short one ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := narrow(t, func(_ int, cfg *node.Config) { cfg.LeaveGrace = 10 * time.Second })
			took, err := leave(t, c)
			require.ErrorContains(t, err, "these sessions have ended")
			require.InDelta(t, 30, took.Seconds(), 1)
		})
	})
	t.Run("none where nothing moves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := tuned(t, 2, func(_ int, cfg *node.Config) { cfg.LeaveGrace = time.Hour }, newJammers)
			id := startJammer(t, c)
			require.NoError(t, ignore.Cast(t.Context(), c.Node(0), id, 25*time.Second))
			took, err := leave(t, c)
			require.ErrorContains(t, err, "1 of them wait for a handler to return")
			require.InDelta(t, 20, took.Seconds(), 1)
			time.Sleep(time.Minute)
		})
	})
	t.Run("it ends when nobody can have what is left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := narrow(t, func(i int, cfg *node.Config) {
				cfg.LeaveGrace = time.Hour
				if i == 0 {
					cfg.Kinds = append(cfg.Kinds, newJammers())
				}
			})
			startJammer(t, c)
			took, err := leave(t, c)
			said, ok := errors.AsType[*node.DrainError](err)
			require.True(t, ok)
			require.Equal(t, map[string]int{"jammer": 1}, said.Kinds)
			require.Equal(t, []string{"jammer"}, said.Untaken)
			require.Contains(t, said.Causes["jammer"], "it was not given the kind")
			require.False(t, said.Continues)
			require.ErrorContains(t, err, "no member that stays can have them")
			require.Greater(t, took, 20*time.Second, "those that can move have the grace")
			require.Less(t, took, 3*time.Minute)
			require.Equal(t, 2000, c.Node(1).Sessions())
		})
	})
	t.Run("none after a signal", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := narrow(t, func(_ int, cfg *node.Config) { cfg.LeaveGrace = time.Hour })
			signals := make(chan os.Signal, 1)
			signals <- syscall.SIGTERM
			begin := time.Now()
			err := node.RunUntil(t.Context(), signals, c.Node(0),
				node.Shutdown{ReadyDelay: time.Second, Timeout: 20 * time.Second})
			require.ErrorContains(t, err, "these sessions have ended")
			require.InDelta(t, 20, time.Since(begin).Seconds(), 1, "Timeout bounds all of it")
		})
	})
}

// startJammer starts one on node 0.
func startJammer(t *testing.T, c *nodetest.Cluster) (id string) {
	id = ownedBy(c, 0, "jammer-")
	require.NoError(t, jammers.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
	return id
}

// Answers that take long are no reason to miss a deadline: more sessions are on their way
// then.
func TestDrainOverASlowLinkMeetsItsDeadline(t *testing.T) {
	for all, deadline := range map[int]time.Duration{shorttest.Of(12_000, 3000): 20 * time.Second, 4000: time.Minute} {
		if testing.Short() && deadline == time.Minute {
			continue
		}
		t.Run(deadline.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := nodetest.NewCluster(t, 2, newCounters)
				startOn(t, c, 0, all)
				for _, i := range []int{0, 1} {
					require.NoError(t, c.Network().SetLink(c.Host(i), c.Host(1-i), simnet.Link{Latency: 100 * time.Millisecond}))
				}
				ctx := lasting(t, deadline)
				begin := time.Now()
				require.NoError(t, c.Node(0).Drain(ctx))
				require.Less(t, time.Since(begin), deadline*2/3)
				require.Equal(t, all, c.Node(1).Sessions())
			})
		})
	}
}
