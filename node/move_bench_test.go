package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A node with 20,000 idle sessions leaves a cluster of two.
func BenchmarkLeave(b *testing.B) {
	const all = 20_000
	for b.Loop() {
		b.StopTimer()
		start := func(slot string, join ...string) *node.Node {
			n, err := node.Start(context.Background(),
				node.Config{Slot: slot, Join: join, Kinds: []sessionproc.AnyKind{newTallies(nil)}, HandoffRate: 1 << 20})
			require.NoError(b, err)
			b.Cleanup(func() { _ = n.Close() })
			return n
		}
		first := start("a")
		second := start("b", first.Addr())
		for i := range all {
			require.NoError(b, tallies.Start(b.Context(), first, fmt.Sprintf("s-%d", i), sessionproc.None{}))
		}
		moving, begin := first.Sessions(), time.Now()
		b.StartTimer()
		require.NoError(b, first.Leave(b.Context()))
		b.ReportMetric(float64(moving)/time.Since(begin).Seconds(), "sessions/s")
		b.StopTimer()
		require.Equal(b, all, second.Sessions())
		require.NoError(b, second.Close())
		b.StartTimer()
	}
}
