//go:build unix

package integration_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// TestPeerThatStopsReadingHarmsOnlyItself stops a process while 1,000 sessions
// reply to it, and compares with the same replies while it reads them.
func TestPeerThatStopsReadingHarmsOnlyItself(t *testing.T) {
	shorttest.Skip(t)
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
			require.LessOrEqual(t, during, max(3*before, 250*time.Millisecond), "others' p99 is unchanged")
			require.LessOrEqual(t, peakDuring, peakBefore+24*mebi, "memory is bounded")
			require.Less(t, held, int64(16*mebi), "a connection holds no more than its MaxOutput of 8 MiB")
			require.NotEmpty(t, owner.log.with("connection ended", "slow"),
				"the owner says why it has closed the connection:\n%s", owner.log.text())

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
