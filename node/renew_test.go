package node_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// renewTo renews from node 0, with a new ID that the test has chosen.
func renewTo(ctx context.Context, c *nodetest.Cluster, id, newID string) <-chan error {
	done := make(chan error, 1)
	go func(from sessionproc.Caller) {
		done <- from.Deliver(ctx, id, engine.Untyped(engine.OpRenew, "", "", newID, nil))
	}(c.Node(0))
	return done
}

// sessionsIn counts the sessions of the running nodes.
func sessionsIn(c *nodetest.Cluster, nodes ...int) (all int) {
	for _, i := range nodes {
		all += c.Node(i).Sessions()
	}
	return all
}

func TestRenewOutlastsTheNewOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 4, newCounters)
		ctx := lasting(t, time.Minute)
		old, newID := idAt(c, 1), idAt(c, 2)
		require.NoError(t, counters.Start(ctx, c.Node(0), old, 5))
		c.Stall(2)
		done := renewTo(ctx, c, old, newID)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		early, stop := context.WithTimeout(ctx, 100*time.Millisecond)
		defer stop()
		_, err := add.Call(early, c.Node(0), old, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded, "it is not known where it is")
		c.Crash(2)
		require.NoError(t, <-done)
		n, err := add.Call(ctx, c.Node(3), newID, 1)
		require.NoError(t, err)
		require.Equal(t, 6, n)
		_, err = add.Call(ctx, c.Node(0), old, 1)
		require.ErrorIs(t, err, sessionproc.ErrRenewed)
		require.Equal(t, 1, sessionsIn(c, 0, 1, 3))
	})
}

func TestRenewWhoseOldOwnerCrashesLeavesAtMostOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 4, newCounters)
		ctx := lasting(t, time.Minute)
		old, newID := idAt(c, 1), idAt(c, 2)
		require.NoError(t, counters.Start(ctx, c.Node(0), old, 5))
		c.Cut(1, 2) // what was written waits
		done := renewTo(ctx, c, old, newID)
		time.Sleep(200 * time.Millisecond)
		c.Crash(1)
		c.Heal()
		err := <-done
		require.Error(t, err)
		require.True(t, sessionproc.MaybeExecuted(err), "it was sent, and its owner has gone")
		c.Settle()
		require.LessOrEqual(t, sessionsIn(c, 0, 2, 3), 1)
		there, err := c.Node(0).Started(ctx, old)
		require.NoError(t, err)
		require.False(t, there)
	})
}

// A session is renewed again and again, and counts, while nodes come and go.
func TestRenewWhileNodesComeAndGoLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newCounters)
		id := sessionproc.NewID()
		require.NoError(t, counters.Start(t.Context(), c.Caller(), id, 0))
		var stop atomic.Bool
		type outcome struct {
			id    string
			count int
			olds  []string
		}
		done := make(chan outcome, 1)
		go func() {
			o := outcome{id: id}
			for !stop.Load() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				n, err := add.Call(ctx, c.Node(0), o.id, 1)
				if !assert.NoError(t, err) {
					cancel()
					break
				}
				o.count++
				assert.Equal(t, o.count, n)
				newID, err := c.Node(o.count%2).Renew(ctx, o.id)
				cancel()
				if !assert.NoError(t, err) {
					break
				}
				o.olds = append(o.olds, o.id)
				o.id = newID
				time.Sleep(5 * time.Millisecond)
			}
			done <- o
		}()
		for range 2 {
			c.Leave(2)
			c.Settle()
			c.Restart(2)
			c.Settle()
			time.Sleep(time.Second)
		}
		c.Drain(2)
		stop.Store(true)
		o := <-done
		require.Greater(t, o.count, 100)
		require.Equal(t, 1, sessionsIn(c, 0, 1, 2), "of %d renewals", o.count)
		n, err := add.Call(t.Context(), c.Node(2), o.id, 0)
		require.NoError(t, err)
		require.Equal(t, o.count, n)
		for _, old := range o.olds[len(o.olds)-100:] {
			_, err := counters.Ensure(t.Context(), c.Caller(), old, 0)
			require.ErrorIs(t, err, sessionproc.ErrRenewed)
		}
		time.Sleep(time.Minute)
		started, err := counters.Ensure(t.Context(), c.Caller(), o.olds[0], 0)
		require.NoError(t, err)
		require.True(t, started, "after a minute the old ID is one as any other")
	})
}

// While node 1 is cut off, the session is renewed there, and somebody starts another
// one under its old ID on the other side.
func TestRenewedIDStaysUnusableWhenAPartitionHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newCounters)
		old, newID := idAt(c, 1), idAt(c, 1)
		require.NoError(t, counters.Start(t.Context(), c.Node(0), old, 5))
		c.Isolate(1)
		c.Settle()
		require.NoError(t, c.Node(1).Deliver(t.Context(), old, engine.Untyped(engine.OpRenew, "", "", newID, nil)))
		require.NoError(t, counters.Start(t.Context(), c.Node(0), old, 100))
		_, err := add.Call(t.Context(), c.Node(0), old, 1)
		require.NoError(t, err)
		c.Heal()
		c.Settle()
		for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			if _, err = add.Call(t.Context(), c.Node(0), old, 1); err != nil {
				break
			}
			require.Less(t, time.Since(begun), 20*time.Second, "the other one goes on")
		}
		require.ErrorIs(t, err, sessionproc.ErrRenewed)
		n, err := add.Call(t.Context(), c.Node(2), newID, 0)
		require.NoError(t, err)
		require.Equal(t, 5, n)
		for begun := time.Now(); sessionsIn(c, 0, 1, 2) != 1; time.Sleep(100 * time.Millisecond) {
			require.Less(t, time.Since(begun), 20*time.Second, "more than one session is left")
		}
	})
}

// What is left of a renewed session under its old ID is none that a leave could lose.
func TestLeaveOfTheLastNodeDoesNotWaitForMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 1, newCounters)
		n := c.Node(0)
		require.NoError(t, counters.Start(t.Context(), n, "old", 5))
		newID, err := n.Renew(t.Context(), "old")
		require.NoError(t, err)
		require.NoError(t, n.Terminate(t.Context(), newID))
		require.Zero(t, n.Sessions())
		require.NoError(t, n.Leave(t.Context()))
	})
}

var (
	brittles = sessionproc.KindOf[sessionproc.None]("brittle")
	strain   = sessionproc.MethodOf[string, sessionproc.None](brittles, "strain")
)

// newBrittles makes a kind whose handler ends its session after a second.
func newBrittles() sessionproc.AnyKind {
	k := sessionproc.NewKind(brittles, startsAs[struct{}], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, strain, func(_ *struct{}, ctx context.Context, how string) (sessionproc.None, error) {
		time.Sleep(time.Second)
		if how == "panic" {
			panic("boom")
		}
		sessionproc.FromContext(ctx).Stop("")
		return sessionproc.None{}, nil
	})
	return k
}

// Who renews a session that ends first hears of it at once, on its node and on another.
func TestRenewOfASessionThatEndsFailsAtOnce(t *testing.T) {
	for how, want := range map[string]error{"panic": sessionproc.ErrCrashed, "stop": sessionproc.ErrTerminated,
		"close": sessionproc.ErrClosed} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := nodetest.NewCluster(t, 2, newBrittles)
				for caller := range 2 {
					if how == "close" && caller == 1 {
						continue // its owner has gone
					}
					id := idAt(c, 0)
					require.NoError(t, brittles.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
					go func(n *node.Node) { _, _ = strain.Call(context.Background(), n, id, how) }(c.Node(0))
					time.Sleep(100 * time.Millisecond)
					begun, done := time.Now(), make(chan error, 1)
					go func(n *node.Node) {
						_, err := n.Renew(context.Background(), id)
						done <- err
					}(c.Node(caller))
					time.Sleep(100 * time.Millisecond)
					if how == "close" {
						require.NoError(t, c.Node(0).Close())
					}
					err := <-done
					require.ErrorIs(t, err, want)
					require.False(t, sessionproc.MaybeExecuted(err))
					require.Less(t, time.Since(begun), 2*time.Second)
				}
			})
		})
	}
}
