package nodetest_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
)

// A session goes on from a node that drains to the other one, and at once to one that joins, which dies with it. The
// one in the middle has it as a standby then, and has not told the first one that it may forget its copy. It tells it
// now: each would wait for the other otherwise, and the session would be on its way for ever.
func TestADrainEndsThoughItsSessionsMoveOnAndAreLostThere(t *testing.T) {
	const sessions = 200
	var met atomic.Int64
	t.Cleanup(func() { require.Greater(t, met.Load(), int64(8)) })
	for offset := range 8 { // what is to meet takes some milliseconds
		for _, nth := range []int{0, 3} {
			t.Run(fmt.Sprintf("%d ms, %d", offset, nth), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := &trap{at: nodetest.SessionCommitted, peers: true, only: 2, met: make(chan int, 1)}
					r.left.Store(int64(nth))
					r.c = nodetest.Start(t, nodetest.Config{Nodes: 2, OnStep: r.step,
						Kinds: []nodetest.KindFunc{nodetest.Kind(newTallies)}})
					time.Sleep(5 * time.Second)
					for i := range sessions {
						_, err := tick.Call(t.Context(), r.c.Node(0), fmt.Sprint("s", i), 1)
						require.NoError(t, err)
					}
					drains := r.c.Node(1)
					var draining sync.WaitGroup
					draining.Go(func() {
						time.Sleep(time.Duration(offset) * time.Millisecond)
						require.NoError(t, drains.Drain(within(t, 20*time.Second)))
					})
					r.set.Store(true)
					r.c.Add()
					select {
					case <-r.met:
						r.c.Crash(2)
						met.Add(1)
					case <-time.After(5 * time.Second): // no session came there in time
					}
					draining.Wait()
					r.c.Settle()
					for i := range sessions {
						n, err := tick.Call(t.Context(), r.c.Node(0), fmt.Sprint("s", i), 10)
						require.NoError(t, err)
						require.Equal(t, 11, n)
					}
				})
			})
		}
	}
}
