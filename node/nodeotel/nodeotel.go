package nodeotel

import (
	"context"
	"net"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sessionproc/sessionproc/node"
)

// Name is that of the tracer and of the meter.
const Name = "github.com/sessionproc/sessionproc/node/nodeotel"

// Options set up Instrument. The zero value works.
type Options struct {
	// TracerProvider makes the spans. Default otel.GetTracerProvider().
	TracerProvider trace.TracerProvider
	// Baggage has the baggage of a request's ctx travel as well, if it fits (see node.Config.Inject): it is
	// sent to all nodes that handle the request, and what timers do later. Default false.
	Baggage bool
	// SlowMove is how long the messages of a session have to wait while it moves for the move to get a
	// span. Default 100 ms; below 0 no move gets one.
	SlowMove time.Duration
}

// Instrument has a node that is started with cfg make spans of requests, handlers, starts and slow moves, and
// continue each trace wherever a request goes. It sets Inject and Extract, in place of what is there, and
// Trace, joined with what is there. Call it once for a Config, before node.Start.
func Instrument(cfg *node.Config, o Options) {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.SlowMove == 0 {
		o.SlowMove = 100 * time.Millisecond
	}
	t := &tracer{tracer: o.TracerProvider.Tracer(Name), slowMove: o.SlowMove}
	cfg.Inject = func(ctx context.Context) []byte { return inject(ctx, o.Baggage) }
	cfg.Extract = func(ctx context.Context, carried []byte) context.Context { return extract(ctx, carried, o.Baggage) }
	ours := &node.Trace{RequestBegun: t.requestBegun, RequestEnded: t.requestEnded, MessageBegun: t.messageBegun,
		MessageEnded: t.messageEnded}
	if o.SlowMove > 0 {
		ours.SessionMoved = t.sessionMoved
	}
	cfg.Trace = node.JoinTraces(cfg.Trace, ours)
}

// tracer makes spans.
type tracer struct {
	tracer   trace.Tracer
	slowMove time.Duration
	names    spanNames
}

// The keys of spans that we have begun. A ctx may have spans of others in it that are younger, so ours have
// keys of their own, with a nil for one that records nothing.
type (
	requestKey struct{}
	messageKey struct{}
)

var (
	system   = attribute.String("rpc.system", "sessionproc")
	client   = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	producer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer)}
)

// requestOptions are those of the span of an operation; nil: nobody wants one, as of a touch or a poll.
func requestOptions(op string) []trace.SpanStartOption {
	switch op {
	case "call", "start", "ensure", "renew", "terminate":
		return client
	case "cast":
		return producer
	}
	return nil
}

// requestBegun begins the span of a request.
func (t *tracer) requestBegun(ctx context.Context, r node.TraceRequest) context.Context {
	o := requestOptions(r.Op)
	if o == nil {
		return ctx
	}
	return begun(ctx, requestKey{}, func() (context.Context, trace.Span) {
		return t.tracer.Start(ctx, t.names.of(r.Op, r.Kind, r.Method), o...)
	}, r.Kind, r.Method)
}

// begun starts a span and has the new ctx know it by key.
func begun(ctx context.Context, key any, start func() (context.Context, trace.Span), kind, method string,
) context.Context {
	before := ctx.Value(key)
	ctx, span := start()
	if span.IsRecording() {
		span.SetAttributes(system, attribute.String("rpc.service", kind), attribute.String("rpc.method", method))
		return context.WithValue(ctx, key, span)
	}
	if before != nil {
		return context.WithValue(ctx, key, nil)
	}
	return ctx
}

func (t *tracer) requestEnded(ctx context.Context, r node.TraceRequest) {
	if requestOptions(r.Op) == nil {
		return
	}
	span, ours := ctx.Value(requestKey{}).(trace.Span)
	if !ours {
		return
	}
	if r.Sent > 0 {
		span.SetAttributes(attribute.Int("sessionproc.attempts", r.Sent), attribute.Int("sessionproc.bytes", r.Size))
		if host, port, err := net.SplitHostPort(r.Peer); err == nil {
			number, _ := strconv.Atoi(port)
			span.SetAttributes(attribute.String("server.address", host), attribute.Int("server.port", number))
		}
	}
	if r.MaybeExecuted {
		span.SetAttributes(attribute.Bool("sessionproc.maybe_executed", true))
	}
	end(span, r.Err)
}

// end sets how something has ended. The text of an error may be a secret of the program, so that only its
// kind is told.
func end(span trace.Span, err error) {
	if err != nil {
		result := node.TraceResult(err)
		span.SetAttributes(attribute.String("error.type", result))
		span.SetStatus(codes.Error, result)
	}
	span.End()
}

// messageBegun begins the span of a handler, but of a local call: that has the span of its request already.
func (t *tracer) messageBegun(ctx context.Context, m node.TraceMessage) context.Context {
	kind := trace.SpanKindServer
	switch {
	case m.Op == "cast":
		kind = trace.SpanKindConsumer
	case m.Op == "start":
		kind = trace.SpanKindInternal
	case m.Peer == "" && hasParent(ctx):
		return ctx
	}
	return begun(ctx, messageKey{}, func() (context.Context, trace.Span) {
		o := make([]trace.SpanStartOption, 0, 3)
		o = append(o, trace.WithSpanKind(kind))
		if m.Wait > 0 {
			o = append(o, trace.WithTimestamp(time.Now().Add(-m.Wait)))
		}
		if kind == trace.SpanKindConsumer {
			if from := trace.SpanContextFromContext(ctx); from.IsValid() {
				o = append(o, trace.WithLinks(trace.Link{SpanContext: from}))
			}
		}
		return t.handlerStarted(ctx, m, o)
	}, m.Kind, m.Method)
}

// handlerStarted starts the span when the message came, and notes when the handler begins.
func (t *tracer) handlerStarted(ctx context.Context, m node.TraceMessage, o []trace.SpanStartOption,
) (context.Context, trace.Span) {
	ctx, span := t.tracer.Start(ctx, t.names.of(m.Op, m.Kind, m.Method), o...)
	if span.IsRecording() {
		span.SetAttributes(attribute.Float64("sessionproc.wait_seconds", m.Wait.Seconds()),
			attribute.Int("sessionproc.bytes", m.Size))
		if m.Peer != "" {
			span.SetAttributes(attribute.String("sessionproc.peer", m.Peer))
		}
		if m.Wait > 0 {
			span.AddEvent("handler begins")
		}
	}
	return ctx, span
}

func (t *tracer) messageEnded(ctx context.Context, m node.TraceMessage) {
	if span, ours := ctx.Value(messageKey{}).(trace.Span); ours {
		end(span, m.Err)
	}
}

// sessionMoved makes the span of a move that was slow, on the node where the session was.
func (t *tracer) sessionMoved(m node.TraceSessionMoved) {
	if m.Arrived || m.Duration < t.slowMove {
		return
	}
	now := time.Now()
	_, span := t.tracer.Start(context.Background(), t.names.of("move", m.Kind, ""), trace.WithNewRoot(),
		trace.WithTimestamp(now.Add(-m.Duration)), trace.WithAttributes(attribute.String("sessionproc.session", m.Session),
			attribute.String("sessionproc.peer", m.Peer), attribute.Int("sessionproc.bytes", m.Size)))
	span.End(trace.WithTimestamp(now))
}
