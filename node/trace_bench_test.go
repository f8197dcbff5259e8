package node_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A call of a session of this node, without a Trace, with one that does nothing, and with
// one for a logger that wants nothing.
func BenchmarkCallLocalTraced(b *testing.B) {
	for _, row := range []struct {
		name  string
		trace *node.Trace
	}{
		{"nil", nil},
		{"noop", &node.Trace{RequestEnded: func(context.Context, node.TraceRequest) {},
			MessageEnded: func(context.Context, node.TraceMessage) {}}},
		{"begun", &node.Trace{
			RequestBegun: func(ctx context.Context, _ node.TraceRequest) context.Context { return ctx },
			RequestEnded: func(context.Context, node.TraceRequest) {},
			MessageBegun: func(ctx context.Context, _ node.TraceMessage) context.Context { return ctx },
			MessageEnded: func(context.Context, node.TraceMessage) {}}},
		{"slog", node.SlogTrace(slog.New(slog.DiscardHandler))},
	} {
		b.Run(row.name, func(b *testing.B) {
			n, err := node.Start(b.Context(), node.Config{Kinds: []sessionproc.AnyKind{newCounters()}, Trace: row.trace})
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, n.Close()) })
			require.NoError(b, counters.Start(b.Context(), n, "counter", 0))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := add.Call(b.Context(), n, "counter", 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
