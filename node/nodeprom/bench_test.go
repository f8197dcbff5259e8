package nodeprom_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeprom"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A call of a session of this node, without a Trace, with one that does nothing, and with ours.
func BenchmarkCallLocal(b *testing.B) {
	for _, row := range []struct {
		name  string
		trace *node.Trace
	}{
		{"nil", nil},
		{"noop", &node.Trace{RequestEnded: func(context.Context, node.TraceRequest) {},
			MessageEnded: func(context.Context, node.TraceMessage) {}}},
		{"nodeprom", nodeprom.New(nodeprom.Options{}).Trace()},
	} {
		b.Run(row.name, func(b *testing.B) {
			n, err := node.Start(b.Context(), node.Config{Kinds: []sessionproc.AnyKind{newCarts(0)}, Trace: row.trace})
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, n.Close()) })
			require.NoError(b, carts.Start(b.Context(), n, "cart", sessionproc.None{}))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := addItem.Call(b.Context(), n, "cart", 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What the two functions of a local call cost, by themselves.
func BenchmarkTraceOfOneCall(b *testing.B) {
	for name, o := range map[string]nodeprom.Options{"buckets": {}, "native": {NativeHistograms: true}} {
		b.Run(name, func(b *testing.B) {
			trace := nodeprom.New(o).Trace()
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				trace.MessageEnded(ctx, node.TraceMessage{Op: "call", Kind: "cart", Method: "add",
					Duration: 700 * time.Nanosecond, Wait: 90 * time.Microsecond})
				trace.RequestEnded(ctx, node.TraceRequest{Op: "call", Kind: "cart", Method: "add",
					Duration: 3 * time.Microsecond})
			}
		})
	}
}

func BenchmarkCollect(b *testing.B) {
	e := nodeprom.New(nodeprom.Options{})
	n, err := node.Start(b.Context(), node.Config{Kinds: []sessionproc.AnyKind{newCarts(0)}, Trace: e.Trace()})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, n.Close()) })
	e.Watch(n)
	_, err = addItem.Call(b.Context(), n, "cart", 1)
	require.NoError(b, err)
	r := prometheus.NewRegistry()
	require.NoError(b, r.Register(e))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestATraceOfACallAllocatesNothing(t *testing.T) {
	trace := nodeprom.New(nodeprom.Options{}).Trace()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		trace.MessageEnded(t.Context(), node.TraceMessage{Op: "call", Kind: "cart", Method: "add"})
		trace.RequestEnded(t.Context(), node.TraceRequest{Op: "call", Kind: "cart", Method: "add", Sent: 1})
	}))
}
