package node_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A session that cannot be sealed yet, as it starts, is not denied because another one
// of its partition was refused and stays.
func TestRefusedSessionDoesNotHideOneThatStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const partitions = 16
		ctx := lasting(t, time.Minute)
		gate := make(chan struct{})
		open := sync.OnceFunc(func() { close(gate) })
		t.Cleanup(open)
		slow := func() sessionproc.AnyKind {
			return countersThat(func(n int) {
				if n < 0 {
					<-gate
				}
			})
		}
		c := tuned(t, 1, onlyNode0(partitions), slow)
		of := map[int][]string{} // two sessions of each partition
		for len(of) < partitions || len(of[0]) < 2 {
			id := sessionproc.NewID()
			p, err := c.Node(0).Where(id)
			require.NoError(t, err)
			if len(of[p.Partition]) < 2 {
				of[p.Partition] = append(of[p.Partition], id)
			}
		}
		started := make(chan error, partitions)
		for _, ids := range of {
			require.NoError(t, counters.Start(ctx, c.Node(0), ids[0], 0))
			if len(ids) > 1 {
				go func() { started <- counters.Start(ctx, c.Node(0), ids[1], -1) }()
			} else {
				started <- nil
			}
		}
		c.Add()
		time.Sleep(time.Second)
		calls, called := 0, make(chan error, partitions)
		for _, ids := range of {
			if c.Owner(ids[0]) == 1 && len(ids) > 1 {
				calls++
				go func() {
					_, err := add.Call(ctx, c.Node(1), ids[1], 1)
					called <- err
				}()
			}
		}
		require.Positive(t, calls)
		time.Sleep(time.Second)
		open()
		for range calls {
			require.NoError(t, <-called)
		}
		for range partitions {
			require.NoError(t, <-started)
		}
	})
}

// onlyNode0 gives the kinds to node 0: the others refuse its sessions.
func onlyNode0(partitions int) func(i int, cfg *node.Config) {
	return func(i int, cfg *node.Config) {
		cfg.Ring = ring.Config{Partitions: partitions}
		if i > 0 {
			cfg.Kinds, cfg.DefaultKind = nil, ""
		}
	}
}

// Whoever meets the driver just as it stops is told so, and does not take it for the
// answer that the session is nowhere.
func TestEnterAsTheDriverStopsIsErrClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := lasting(t, time.Minute)
		c := tuned(t, 1, onlyNode0(1), newCounters)
		require.NoError(t, counters.Start(ctx, c.Node(0), "stays", 0))
		for c.Owner("stays") == 0 {
			c.Add()
		}
		c.Settle()
		time.Sleep(time.Second) // it has refused the session by then
		require.ErrorIs(t, c.Node(c.Owner("stays")).EnterAsItStops("missing"), sessionproc.ErrClosed)
	})
}
