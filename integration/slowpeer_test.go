//go:build unix

package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/child"
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

// TestPeerThatStopsReadingHarmsOnlyItself stops a process while 1,000 sessions
// reply to it, and compares with the same replies while it reads them.
func TestPeerThatStopsReadingHarmsOnlyItself(t *testing.T) {
	for _, c := range []struct{ name, secret string }{{"plain", ""}, {"secret", node.NewSecret()}} {
		t.Run(c.name, func(t *testing.T) {
			members := newCluster(t, 2, node.Config{Secret: c.secret})
			owner, other := members[0], members[1]
			gates := []string{sessionproc.NewID(), sessionproc.NewID()}
			t.Cleanup(func() { events.open(gates[0]); events.open(gates[1]) })
			peer, err := child.Start("slow peer", slowPeer{c.secret, owner.Addr(), owner.Slot(), gates})
			require.NoError(t, err)
			var end sync.Once
			kill := func() { end.Do(peer.Kill) }
			t.Cleanup(kill)
			for _, m := range members {
				require.NoError(t, m.awaitServing(within(t, 20*time.Second), 3))
			}
			require.NoError(t, counters.Start(t.Context(), owner, gates[0], 0))
			awaitAsked(t, gates[0])
			tr := startTraffic(t, other, owner, "slow")

			base := heapInUse(true)
			before, peakBefore, _ := replyAll(t, tr, gates[0], base)
			awaitAsked(t, gates[1])
			require.NoError(t, peer.Signal(syscall.SIGSTOP))
			during, peakDuring, held := replyAll(t, tr, gates[1], base)
			t.Logf("p99 %v while it reads, %v while it does not; the heap has grown by %d and %d MiB, of which %d are held",
				before, during, peakBefore>>20, peakDuring>>20, held>>20)
			require.LessOrEqual(t, during, max(3*before, 50*time.Millisecond), "others' p99 is unchanged")
			require.LessOrEqual(t, peakDuring, peakBefore+24*mebi, "memory is bounded")
			require.Less(t, held, int64(16*mebi), "a connection holds no more than its MaxOutput of 8 MiB")
			require.NotEmpty(t, owner.log.with("connection ended", "slow"), "the owner says why it has closed the connection:\n%s", owner.log.text())

			kill()
			require.NoError(t, other.awaitServing(within(t, 20*time.Second), 2))
			require.NoError(t, owner.awaitServing(within(t, 20*time.Second), 2))
		})
	}
}

// awaitAsked waits until every session has its call.
func awaitAsked(t *testing.T, gate string) {
	t.Helper()
	for range hoardCount {
		events.await(t, gate, "asked")
	}
}

// replyAll lets the sessions reply, 31 MiB in all, and returns what others
// notice of it.
func replyAll(t *testing.T, tr *traffic, gate string, base int64) (p99 time.Duration, peak, held int64) {
	t.Helper()
	grown := watchHeap(base)
	tr.cut()
	events.open(gate)
	time.Sleep(replyTime + replyTime/2)
	p99, calls := tr.cut()
	require.Greater(t, calls, 20)
	peak, held = grown()
	return p99, peak, held
}
