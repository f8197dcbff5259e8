package nodeotel_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeotel"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// serveCheckout serves the shop's web side on a node, in spans as the middleware of a web server makes them.
func serveCheckout(t *testing.T, n *node.Node, p trace.TracerProvider, id string, o order) *httptest.Server {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := p.Tracer("web").Start(ctx, "POST /checkout", trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		if _, err := checkout.Call(ctx, n, id, o); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(web.Close)
	return web
}

// startPair starts two nodes of this machine's network, and waits until each has what it owns.
func startPair(t *testing.T, p trace.TracerProvider) (nodes [2]*node.Node) {
	for i := range nodes {
		cfg := node.Config{Slot: string(rune('a' + i)), Kinds: newKinds(func() *node.Node { return nodes[i] })}
		if i > 0 {
			cfg.Join = []string{nodes[0].Addr()}
		}
		nodeotel.Instrument(&cfg, nodeotel.Options{TracerProvider: p})
		n, err := node.Start(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(func() { _ = n.Close() })
		nodes[i] = n
	}
	require.Eventually(t, func() bool {
		for _, n := range nodes {
			h := n.Health()
			if h.Members["serving"] != 2 || h.Partitions[node.HoldingSettled]+h.Partitions[node.HoldingElsewhere] != 1021 {
				return false
			}
		}
		return true
	}, 30*time.Second, 10*time.Millisecond)
	return nodes
}

// idOn returns an ID that n owns.
func idOn(t *testing.T, n *node.Node) string {
	for {
		id := sessionproc.NewID()
		place, err := n.Where(id)
		require.NoError(t, err)
		if place.Local {
			return id
		}
	}
}

// browser -> HTTP -> node a -> cart on node b -> stock on node a -> notice to the buyer on node b -> timer
func TestOneTraceFollowsARequestOverNodesNoticesAndTimers(t *testing.T) {
	p, kept := memory(t)
	nodes := startPair(t, p)
	web := serveCheckout(t, nodes[0], p, idOn(t, nodes[1]), order{Stock: idOn(t, nodes[0]), Buyer: idOn(t, nodes[1])})

	const browser = "4bf92f3577b34da6a3ce929d0e0e4736"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL, nil)
	require.NoError(t, err)
	r.Header.Set("traceparent", "00-"+browser+"-00f067aa0ba902b7-01")
	r.Header.Set("tracestate", "vendor=1")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Eventually(t, func() bool { return len(kept.GetSpans()) == 11 }, 10*time.Second, 10*time.Millisecond)

	spans := kept.GetSpans()
	for _, s := range spans {
		require.Equal(t, browser, s.SpanContext.TraceID().String(), s.Name)
		require.Equal(t, "vendor=1", s.SpanContext.TraceState().String(), s.Name)
	}
	path := []struct {
		name string
		kind trace.SpanKind
	}{
		{"POST /checkout", trace.SpanKindServer},
		{"cart/checkout", trace.SpanKindClient}, {"cart/checkout", trace.SpanKindServer},
		{"stock/reserve", trace.SpanKindClient}, {"stock/reserve", trace.SpanKindServer},
		{"buyer/told", trace.SpanKindProducer}, {"buyer/told", trace.SpanKindConsumer},
		{"buyer/remind", trace.SpanKindConsumer},
	}
	parent := "00f067aa0ba902b7"
	for _, step := range path {
		s := one(t, spans, step.name, step.kind)
		require.Equal(t, parent, s.Parent.SpanID().String(), "%s %v", step.name, step.kind)
		if step.kind == trace.SpanKindConsumer {
			require.Len(t, s.Links, 1)
			require.Equal(t, parent, s.Links[0].SpanContext.SpanID().String())
		}
		parent = s.SpanContext.SpanID().String()
	}
	for name, caller := range map[string]trace.SpanKind{"cart": trace.SpanKindClient, "stock": trace.SpanKindClient,
		"buyer": trace.SpanKindProducer} {
		start := one(t, spans, name+" start", trace.SpanKindInternal)
		method := map[string]string{"cart": "checkout", "stock": "reserve", "buyer": "told"}[name]
		require.Equal(t, one(t, spans, name+"/"+method, caller).SpanContext.SpanID(), start.Parent.SpanID(),
			"a session that is missing is started for the call")
	}
	call := one(t, spans, "cart/checkout", trace.SpanKindClient)
	require.Equal(t, "sessionproc", value(call, "rpc.system"))
	require.Equal(t, "cart", value(call, "rpc.service"))
	require.Equal(t, "checkout", value(call, "rpc.method"))
	require.Equal(t, nodes[1].Addr(), value(call, "server.address")+":"+value(call, "server.port"))
	require.NotEmpty(t, value(call, "sessionproc.attempts"))
	require.Equal(t, nodes[0].Name(), value(one(t, spans, "cart/checkout", trace.SpanKindServer), "sessionproc.peer"))
}

func TestLocalCallIsOneSpan(t *testing.T) {
	p, kept := memory(t)
	synctest.Test(t, func(t *testing.T) {
		c := instrumented(t, 1, nodeotel.Options{TracerProvider: p})
		o := order{Stock: owned(c, 0), Buyer: owned(c, 0)}
		_, err := checkout.Call(t.Context(), c.Node(0), owned(c, 0), o)
		require.NoError(t, err)
		time.Sleep(time.Second)
		spans := kept.GetSpans()
		require.Len(t, spans, 3+2+3, "starts, calls, cast with its handler and the timer's")
		call := one(t, spans, "cart/checkout", trace.SpanKindClient)
		require.Empty(t, value(call, "server.address"))
		require.Equal(t, call.SpanContext.SpanID(), one(t, spans, "stock/reserve", trace.SpanKindClient).Parent.SpanID())
	})
}

func TestErrorsAreToldByTheirKindAlone(t *testing.T) {
	p, kept := memory(t)
	synctest.Test(t, func(t *testing.T) {
		c := instrumented(t, 2, nodeotel.Options{TracerProvider: p})
		_, err := checkout.Call(t.Context(), c.Node(0), owned(c, 1), order{Stock: owned(c, 0), Fail: true})
		require.ErrorContains(t, err, errSoldOut.Error())
		for _, s := range kept.GetSpans() {
			if strings.HasSuffix(s.Name, "start") {
				require.Equal(t, codes.Unset, s.Status.Code)
				continue
			}
			require.Equal(t, codes.Error, s.Status.Code, s.Name)
			require.Equal(t, "error", s.Status.Description)
			require.Equal(t, "error", value(s, "error.type"))
		}
	})
}

func TestWaitInTheMailboxIsSeen(t *testing.T) {
	p, kept := memory(t)
	synctest.Test(t, func(t *testing.T) {
		slow := sessionproc.KindOf[sessionproc.None]("slow")
		work := sessionproc.MethodOf[time.Duration, int](slow, "work")
		c := nodetest.Start(t, nodetest.Config{Nodes: 2, Tune: func(_ int, cfg *node.Config) {
			k := sessionproc.NewKind(slow, func(context.Context, sessionproc.None) (*int, error) { return new(int), nil },
				sessionproc.KindConfig{StartOnCall: true})
			sessionproc.HandleCall(k, work, func(_ *int, _ context.Context, d time.Duration) (int, error) {
				time.Sleep(d)
				return 0, nil
			})
			cfg.Kinds = []sessionproc.AnyKind{k}
			nodeotel.Instrument(cfg, nodeotel.Options{TracerProvider: p})
		}})
		c.Settle()
		time.Sleep(time.Second)
		id := owned(c, 1)
		go func() { _, _ = work.Call(t.Context(), c.Node(0), id, 3*time.Second) }()
		time.Sleep(time.Second)
		kept.Reset()
		_, err := work.Call(t.Context(), c.Node(0), id, 0)
		require.NoError(t, err)
		var last tracetest.SpanStub
		for _, s := range kept.GetSpans() {
			if s.SpanKind == trace.SpanKindServer {
				last = s
			}
		}
		require.InDelta(t, 2, last.EndTime.Sub(last.StartTime).Seconds(), .1)
		require.Len(t, last.Events, 1)
		require.Equal(t, "handler begins", last.Events[0].Name)
		require.InDelta(t, 2, last.Events[0].Time.Sub(last.StartTime).Seconds(), .1)
		require.True(t, strings.HasPrefix(value(last, "sessionproc.wait_seconds"), "1.99") ||
			strings.HasPrefix(value(last, "sessionproc.wait_seconds"), "2"))
	})
}

// Not to sample is a decision of the first node, which the others keep to.
func TestWhatIsNotSampledIsSampledNowhere(t *testing.T) {
	never, _ := memory(t, sdk.WithSampler(sdk.NeverSample()))
	always, kept := memory(t)
	synctest.Test(t, func(t *testing.T) {
		var c *nodetest.Cluster
		c = nodetest.Start(t, nodetest.Config{Nodes: 2, Tune: func(i int, cfg *node.Config) {
			cfg.Kinds = newKinds(func() *node.Node { return c.Node(i) })
			nodeotel.Instrument(cfg, nodeotel.Options{TracerProvider: []trace.TracerProvider{never, always}[i]})
		}})
		c.Settle()
		time.Sleep(time.Second)
		_, err := checkout.Call(t.Context(), c.Node(0), owned(c, 1), order{Stock: owned(c, 1), Buyer: owned(c, 1)})
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.Empty(t, kept.GetSpans())
	})
}

func TestTouchesEndNoSpanOfTheirCaller(t *testing.T) {
	p, kept := memory(t)
	synctest.Test(t, func(t *testing.T) {
		c := instrumented(t, 2, nodeotel.Options{TracerProvider: p})
		id := owned(c, 1)
		ctx, span := p.Tracer("web").Start(t.Context(), "outer")
		require.NoError(t, carts.Start(ctx, c.Node(0), id, sessionproc.None{}))
		require.NoError(t, c.Node(0).Touch(ctx, id))
		_, err := c.Node(0).Started(ctx, id)
		require.NoError(t, err)
		require.True(t, span.IsRecording())
		spans := kept.GetSpans()
		require.Len(t, spans, 2)
		require.Equal(t, one(t, spans, "cart start", trace.SpanKindClient).SpanContext.SpanID(),
			one(t, spans, "cart start", trace.SpanKindInternal).Parent.SpanID())
		span.End()
	})
}

func TestSlowMovesHaveASpan(t *testing.T) {
	p, kept := memory(t)
	synctest.Test(t, func(t *testing.T) {
		c := instrumented(t, 2, nodeotel.Options{TracerProvider: p, SlowMove: time.Nanosecond})
		id := owned(c, 0)
		require.NoError(t, carts.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
		kept.Reset()
		c.Drain(0)
		move := one(t, kept.GetSpans(), "cart move", trace.SpanKindInternal)
		require.Equal(t, sessionproc.LogID(id), value(move, "sessionproc.session"))
		require.Equal(t, c.Node(1).Name(), value(move, "sessionproc.peer"))
		require.False(t, move.Parent.IsValid())
		require.Positive(t, move.EndTime.Sub(move.StartTime))
	})
}

// A trace is continued by a cast that waits in the mailbox of a session which moves, and by its timer.
func TestTraceGoesOnAfterAMove(t *testing.T) {
	p, kept := memory(t)
	synctest.Test(t, func(t *testing.T) {
		c := instrumented(t, 2, nodeotel.Options{TracerProvider: p})
		id := owned(c, 0)
		ctx, span := p.Tracer("web").Start(t.Context(), "outer")
		require.NoError(t, told.Cast(ctx, c.Node(1), id, "now"))
		synctest.Wait() // its timer is set
		c.Drain(0)
		time.Sleep(time.Second)
		reminded := one(t, kept.GetSpans(), "buyer/remind", trace.SpanKindConsumer)
		require.Equal(t, span.SpanContext().TraceID(), reminded.SpanContext.TraceID())
		span.End()
	})
}

func TestMetricsAreThoseOfStatsAndHealth(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	p := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	collect := func() map[string]metricdata.Aggregation {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(context.Background(), &all))
		byName := map[string]metricdata.Aggregation{}
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				byName[m.Name] = m.Data
			}
		}
		return byName
	}
	synctest.Test(t, func(t *testing.T) {
		c := instrumented(t, 2, nodeotel.Options{})
		stop, err := nodeotel.Metrics(c.Node(0), p)
		require.NoError(t, err)
		require.NoError(t, carts.Start(t.Context(), c.Node(0), owned(c, 0), sessionproc.None{}))
		require.NoError(t, carts.Start(t.Context(), c.Node(0), owned(c, 1), sessionproc.None{}))
		all := collect()
		sessions := all["sessionproc_sessions"].(metricdata.Gauge[float64]).DataPoints
		require.Len(t, sessions, 1)
		require.EqualValues(t, 1, sessions[0].Value)
		require.Equal(t, attribute.NewSet(attribute.String("kind", "cart")), sessions[0].Attributes)
		forwarded := all["sessionproc_forwarded_total"].(metricdata.Sum[int64])
		require.True(t, forwarded.IsMonotonic)
		require.EqualValues(t, 1, forwarded.DataPoints[0].Value)
		require.EqualValues(t, 1, all["sessionproc_ready"].(metricdata.Gauge[float64]).DataPoints[0].Value)
		require.NoError(t, stop())
		require.Empty(t, collect())
	})
}
