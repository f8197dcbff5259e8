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
	request  ownSpan // where a ctx has the span of a request
	message  ownSpan // and of a message
}

// The address of an ownSpan finds a span that we have begun and that records. A ctx may have spans of others in it that
// are younger.
type ownSpan byte

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
	ctx, span := t.tracer.Start(ctx, t.names.of(r.Op, r.Kind, r.Method), o...)
	if !span.IsRecording() {
		return ctx
	}
	return t.describe(ctx, span, &t.request, r.Kind, r.Method)
}

// describe says what a span that records is about, and has its ctx know it as ours.
func (t *tracer) describe(ctx context.Context, span trace.Span, key *ownSpan, kind, method string) context.Context {
	span.SetAttributes(system, attribute.String("rpc.service", kind), attribute.String("rpc.method", method))
	return context.WithValue(ctx, key, span)
}

func (t *tracer) requestEnded(ctx context.Context, r node.TraceRequest) {
	if requestOptions(r.Op) == nil {
		return
	}
	span, ours := ctx.Value(&t.request).(trace.Span)
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

// isLocalCall reports whether a handler runs for a call of its own node, which has the span of its request.
func isLocalCall(m *node.TraceMessage) bool { return m.Op == "call" && m.Peer == "" }

// messageBegun begins the span of a handler, but of a local call.
func (t *tracer) messageBegun(ctx context.Context, m node.TraceMessage) context.Context {
	if isLocalCall(&m) {
		return ctx
	}
	kind := trace.SpanKindServer
	switch m.Op {
	case "cast":
		kind = trace.SpanKindConsumer
	case "start":
		kind = trace.SpanKindInternal
	}
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
}

// handlerStarted starts the span when the message came, and notes when the handler begins.
func (t *tracer) handlerStarted(ctx context.Context, m node.TraceMessage, o []trace.SpanStartOption) context.Context {
	ctx, span := t.tracer.Start(ctx, t.names.of(m.Op, m.Kind, m.Method), o...)
	if !span.IsRecording() {
		return ctx
	}
	span.SetAttributes(attribute.Float64("sessionproc.wait_seconds", m.Wait.Seconds()),
		attribute.Int("sessionproc.bytes", m.Size))
	if m.Peer != "" {
		span.SetAttributes(attribute.String("sessionproc.peer", m.Peer))
	}
	if m.Wait > 0 {
		span.AddEvent("handler begins")
	}
	return t.describe(ctx, span, &t.message, m.Kind, m.Method)
}

func (t *tracer) messageEnded(ctx context.Context, m node.TraceMessage) {
	if isLocalCall(&m) {
		return
	}
	if span, ours := ctx.Value(&t.message).(trace.Span); ours {
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
