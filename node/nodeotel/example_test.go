package nodeotel_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeotel"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A node whose requests and handlers are spans. A real program gives its provider an exporter to a collector in place
// of one in memory, and has the middleware of its web server begin the traces.
func Example() {
	ctx := context.Background()
	kept := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(kept))
	defer provider.Shutdown(ctx)

	visits := sessionproc.KindOf[sessionproc.None]("visit")
	look := sessionproc.MethodOf[string, int](visits, "look")
	kind := sessionproc.NewKind(visits, func(context.Context, sessionproc.None) (*int, error) { return new(int), nil },
		sessionproc.KindConfig{StartOnCall: true})
	sessionproc.HandleCall(kind, look, func(n *int, _ context.Context, _ string) (int, error) {
		*n++
		return *n, nil
	})

	cfg := node.Config{Kinds: []sessionproc.AnyKind{kind}}
	nodeotel.Instrument(&cfg, nodeotel.Options{TracerProvider: provider})
	n, err := node.Start(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()

	ctx, span := provider.Tracer("web").Start(ctx, "GET /")
	if _, err := look.Call(ctx, n, "somebody", "/"); err != nil {
		fmt.Println(err)
		return
	}
	span.End()
	for _, s := range kept.GetSpans() {
		fmt.Println(s.Name, s.SpanKind, s.SpanContext.TraceID() == span.SpanContext().TraceID())
	}
	// Output:
	// visit start internal true
	// visit/look client true
	// GET / internal true
}
