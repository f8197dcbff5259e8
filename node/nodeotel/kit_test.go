package nodeotel_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeotel"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A checkout of a cart reserves stock, and tells the buyer, by a notice that sets a timer.
type (
	cart  struct{}
	stock struct{ Reserved int }
	buyer struct{}
)

var (
	carts    = sessionproc.KindOf[sessionproc.None]("cart")
	checkout = sessionproc.MethodOf[order, int](carts, "checkout")
	stocks   = sessionproc.KindOf[sessionproc.None]("stock")
	reserve  = sessionproc.MethodOf[order, int](stocks, "reserve")
	buyers   = sessionproc.KindOf[sessionproc.None]("buyer")
	told     = sessionproc.NoticeOf[string](buyers, "told")
	remind   = sessionproc.NoticeOf[string](buyers, "remind")
)

// order names the sessions that a checkout is about.
type order struct {
	Stock, Buyer string
	Fail         bool
}

var errSoldOut = errors.New("sold out")

// newKinds are those of the shop; on is the node that handlers call others by.
func newKinds(on func() *node.Node) []sessionproc.AnyKind {
	lives := sessionproc.KindConfig{StartOnCall: true}
	c := sessionproc.NewKind(carts, func(context.Context, sessionproc.None) (*cart, error) { return new(cart), nil },
		lives)
	sessionproc.HandleCall(c, checkout, func(_ *cart, ctx context.Context, o order) (int, error) {
		return reserve.Call(ctx, on(), o.Stock, o)
	})
	s := sessionproc.NewKind(stocks, func(context.Context, sessionproc.None) (*stock, error) { return new(stock), nil },
		lives)
	sessionproc.HandleCall(s, reserve, func(s *stock, ctx context.Context, o order) (int, error) {
		if o.Fail {
			return 0, errSoldOut
		}
		s.Reserved++
		return s.Reserved, told.Cast(ctx, on(), o.Buyer, "reserved")
	})
	b := sessionproc.NewKind(buyers, func(context.Context, sessionproc.None) (*buyer, error) { return new(buyer), nil },
		lives)
	sessionproc.HandleCast(b, told, func(_ *buyer, ctx context.Context, text string) error {
		remind.After(ctx, 10*time.Millisecond, text)
		return nil
	})
	sessionproc.HandleCast(b, remind, func(*buyer, context.Context, string) error { return nil })
	return []sessionproc.AnyKind{c, s, b}
}

// memory is a provider whose spans are kept.
func memory(t testing.TB, o ...sdk.TracerProviderOption) (*sdk.TracerProvider, *tracetest.InMemoryExporter) {
	kept := tracetest.NewInMemoryExporter()
	p := sdk.NewTracerProvider(append(o, sdk.WithSyncer(kept))...)
	t.Cleanup(func() { _ = p.Shutdown(context.Background()) })
	return p, kept
}

// instrumented is a cluster in a bubble whose nodes make spans.
func instrumented(t *testing.T, nodes int, o nodeotel.Options) *nodetest.Cluster {
	var c *nodetest.Cluster
	c = nodetest.Start(t, nodetest.Config{Nodes: nodes, Tune: func(i int, cfg *node.Config) {
		cfg.Kinds = newKinds(func() *node.Node { return c.Node(i) })
		nodeotel.Instrument(cfg, o)
	}})
	c.Settle()
	time.Sleep(time.Second) // partitions are handed over
	return c
}

func owned(c *nodetest.Cluster, i int) string {
	for {
		if id := sessionproc.NewID(); c.Owner(id) == i {
			return id
		}
	}
}

// one returns the only span of that name and kind.
func one(t *testing.T, spans tracetest.SpanStubs, name string, kind trace.SpanKind) tracetest.SpanStub {
	t.Helper()
	var found []tracetest.SpanStub
	for _, s := range spans {
		if s.Name == name && s.SpanKind == kind {
			found = append(found, s)
		}
	}
	require.Len(t, found, 1, "%s %v", name, kind)
	return found[0]
}

// value is that of an attribute, as text.
func value(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}
