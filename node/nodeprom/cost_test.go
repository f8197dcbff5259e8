package nodeprom_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeprom"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A traced is a node with a Trace, and what a call of a session of its own may cost with it. Times are the multiple of
// one without a Trace, with room for a busy machine: an idle one shows half of what goes beyond 1, or less.
type traced struct {
	name     string
	trace    *node.Trace
	mostTime float64
	call     func() error
	least    float64 // ns of a call
}

func startTraced(t *testing.T, s *traced) {
	n, err := node.Start(t.Context(), node.Config{Kinds: []sessionproc.AnyKind{newCarts(0)}, Trace: s.trace})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	require.NoError(t, carts.Start(t.Context(), n, "cart", sessionproc.None{}))
	s.least = math.Inf(1)
	s.call = func() error {
		_, err := addItem.Call(t.Context(), n, "cart", 1)
		return err
	}
}

// A call of a session of the same node has no allocation for a Trace, and takes no longer for it than it did.
func TestALocalCallCostsNoMoreThanKept(t *testing.T) {
	sides := []*traced{
		{name: "nil", mostTime: math.Inf(1)},
		{name: "noop", mostTime: 1.8, trace: &node.Trace{
			RequestBegun: func(ctx context.Context, _ node.TraceRequest) context.Context { return ctx },
			RequestEnded: func(context.Context, node.TraceRequest) {},
			MessageBegun: func(ctx context.Context, _ node.TraceMessage) context.Context { return ctx },
			MessageEnded: func(context.Context, node.TraceMessage) {}}},
		{name: "nodeprom", mostTime: 1.9, trace: nodeprom.New(nodeprom.Options{}).Trace()},
	}
	for _, s := range sides {
		startTraced(t, s)
	}
	const rounds, calls = 200, 500
	for range rounds { // the least of many short ones, in turns: other programs may take the processor for a while
		for _, s := range sides {
			since := time.Now()
			for range calls {
				if err := s.call(); err != nil {
					t.Fatal(err)
				}
			}
			s.least = min(s.least, float64(time.Since(since))/calls)
		}
	}
	for _, s := range sides {
		t.Logf("%s: %.0f ns, %.2f", s.name, s.least, s.least/sides[0].least)
		require.LessOrEqual(t, s.least/sides[0].least, s.mostTime, s.name)
		require.Zero(t, testing.AllocsPerRun(5000, func() { _ = s.call() }), s.name)
	}
}
