package nodeotel_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeotel"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A call of a session of this node: without a Trace, with one that does nothing, with ours and a sampler that
// wants nothing, and one that wants all (and a provider that drops it).
func BenchmarkCallLocal(b *testing.B) {
	echoes := sessionproc.KindOf[sessionproc.None]("echo")
	echo := sessionproc.MethodOf[int, int](echoes, "echo")
	instrumented := func(p *sdk.TracerProvider) func(*node.Config) {
		return func(cfg *node.Config) { nodeotel.Instrument(cfg, nodeotel.Options{TracerProvider: p}) }
	}
	for _, row := range []struct {
		name string
		tune func(*node.Config)
	}{
		{"nil", func(*node.Config) {}},
		{"noop", func(cfg *node.Config) {
			cfg.Trace = &node.Trace{RequestBegun: func(ctx context.Context, _ node.TraceRequest) context.Context { return ctx },
				RequestEnded: func(context.Context, node.TraceRequest) {},
				MessageBegun: func(ctx context.Context, _ node.TraceMessage) context.Context { return ctx },
				MessageEnded: func(context.Context, node.TraceMessage) {}}
		}},
		{"no provider", func(cfg *node.Config) {
			nodeotel.Instrument(cfg, nodeotel.Options{TracerProvider: noop.NewTracerProvider()})
		}},
		{"never", instrumented(sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())))},
		{"always", instrumented(sdk.NewTracerProvider())},
	} {
		b.Run(row.name, func(b *testing.B) {
			k := sessionproc.NewKind(echoes, func(context.Context, sessionproc.None) (*int, error) { return new(int), nil },
				sessionproc.KindConfig{})
			sessionproc.HandleCall(k, echo, func(_ *int, _ context.Context, i int) (int, error) { return i, nil })
			cfg := node.Config{Kinds: []sessionproc.AnyKind{k}}
			row.tune(&cfg)
			n, err := node.Start(b.Context(), cfg)
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, n.Close()) })
			require.NoError(b, echoes.Start(b.Context(), n, "echo", sessionproc.None{}))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := echo.Call(b.Context(), n, "echo", 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a node asks of us for one local call, by itself.
func BenchmarkTraceOfOneCall(b *testing.B) {
	for name, sampler := range map[string]sdk.Sampler{"never": sdk.NeverSample(), "always": sdk.AlwaysSample()} {
		b.Run(name, func(b *testing.B) {
			var cfg node.Config
			nodeotel.Instrument(&cfg, nodeotel.Options{TracerProvider: sdk.NewTracerProvider(sdk.WithSampler(sampler))})
			request := node.TraceRequest{Op: "call", Kind: "echo", Method: "echo"}
			message := node.TraceMessage{Op: "call", Kind: "echo", Method: "echo"}
			b.ReportAllocs()
			for b.Loop() {
				ctx := cfg.Trace.RequestBegun(b.Context(), request)
				handler := cfg.Trace.MessageBegun(cfg.Extract(context.Background(), cfg.Inject(ctx)), message)
				cfg.Trace.MessageEnded(handler, message)
				cfg.Trace.RequestEnded(ctx, request)
			}
		})
	}
	b.Run("Start alone", func(b *testing.B) { // what the SDK takes of that
		t := sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())).Tracer("")
		b.ReportAllocs()
		for b.Loop() {
			t.Start(b.Context(), "echo/echo")
		}
	})
}
