package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

const hoardCount = 1000

type slowPeer struct {
	Secret string
	Seed   string
	Owner  string   // slot of the node whose sessions it calls
	Gates  []string // at which each session waits before it replies: one call after the other
}

// runSlowPeer is the role of the peer: a node in a process of its own that
// calls 1,000 sessions at once.
func runSlowPeer(arg []byte) (hello string, stop func() error, err error) {
	var c slowPeer
	if err := json.Unmarshal(arg, &c); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	n, err := node.Start(ctx, node.Config{Slot: "slow", Join: []string{c.Seed}, Secret: c.Secret, Kinds: allKinds()})
	if err != nil {
		cancel()
		return "", nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(ctx, n)
	}()
	return n.Addr(), func() error { cancel(); <-done; return n.Close() }, nil
}

// run makes the calls as soon as a session named like the first gate tells it
// that all members see one another.
func (c slowPeer) run(ctx context.Context, n *node.Node) {
	for ready := false; !ready && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		ready, _ = n.Started(ctx, c.Gates[0])
	}
	var wg sync.WaitGroup
	for started := 0; started < hoardCount && ctx.Err() == nil; {
		id := sessionproc.NewID()
		if where, err := n.Where(id); err != nil || where.Owner.Slot != c.Owner {
			continue
		}
		if err := hoards.Start(ctx, n, id, sessionproc.None{}); err != nil {
			fmt.Fprintln(os.Stderr, "slow peer:", err)
			continue
		}
		started++
		wg.Go(func() {
			for _, gate := range c.Gates {
				for _, err := give.Call(ctx, n, id, gate); err != nil && ctx.Err() == nil; {
					_, err = give.Call(ctx, n, id, gate)
				}
			}
		})
	}
	wg.Wait()
}
