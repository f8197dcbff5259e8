package nodeotel

import (
	"bytes"
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
)

// What travels with most requests is a span alone, as in the W3C's traceparent, but not in hex: a 0, the trace's ID, the
// span's, and the flags. Otherwise it is the values of the headers traceparent, tracestate and baggage, each but the
// first after a line feed, and empty if there is none. Later releases may add more bytes, or lines.
const (
	maxCarried    = 1 << 10 // see node.Config.Inject
	traceparent   = 55      // bytes of version 00
	versionPrefix = "00-"
	spanAlone     = 1 + 16 + 8 + 1 // bytes
)

// inject returns what of ctx is to travel, or nil. What does not fit is left out: baggage first.
func inject(ctx context.Context, withBaggage bool) []byte {
	var bags string
	if withBaggage {
		bags = baggage.FromContext(ctx).String()
	}
	sc := trace.SpanContextFromContext(ctx)
	valid := sc.IsValid()
	switch {
	case bags == "" && !valid:
		return nil
	case bags == "" && sc.TraceState().Len() == 0:
		return appendSpan(make([]byte, 0, spanAlone), &sc)
	case !valid:
		sc = trace.SpanContext{}
	}
	return injectHeaders(sc, bags)
}

func appendSpan(b []byte, sc *trace.SpanContext) []byte {
	id, span := sc.TraceID(), sc.SpanID()
	return append(append(append(append(b, 0), id[:]...), span[:]...), byte(sc.TraceFlags()))
}

// injectHeaders is inject for a span, which may be invalid, and baggage.
func injectHeaders(sc trace.SpanContext, bags string) []byte {
	b := make([]byte, 0, 2*traceparent)
	if sc.IsValid() {
		id, span := sc.TraceID(), sc.SpanID()
		b = append(b, versionPrefix...)
		b = hex.AppendEncode(b, id[:])
		b = append(b, '-')
		b = hex.AppendEncode(b, span[:])
		b = append(b, '-')
		b = hex.AppendEncode(b, []byte{byte(sc.TraceFlags())})
	}
	state := sc.TraceState().String()
	if len(b)+1+len(state) > maxCarried-1 {
		state = ""
	}
	if len(b)+1+len(state)+1+len(bags) > maxCarried {
		bags = ""
	}
	switch {
	case state == "" && bags == "" && sc.IsValid():
		return appendSpan(b[:0], &sc)
	case state == "" && bags == "":
		return nil
	}
	b = append(append(b, '\n'), state...)
	if bags != "" {
		b = append(append(b, '\n'), bags...)
	}
	return b
}

// extract returns ctx with what has travelled, as far as it is valid.
func extract(ctx context.Context, carried []byte, withBaggage bool) context.Context {
	if len(carried) >= spanAlone && carried[0] == 0 {
		r := &remote{Context: ctx, span: [spanAlone]byte(carried)}
		if contextKey != nil {
			return r
		}
		if sc := r.spanContext(); sc.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
		}
		return ctx
	}
	parent, rest, _ := bytes.Cut(carried, []byte("\n"))
	state, rest, _ := bytes.Cut(rest, []byte("\n"))
	if sc, ok := parse(parent, state); ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	if bags, _, _ := bytes.Cut(rest, []byte("\n")); withBaggage && len(bags) > 0 {
		if bag, err := baggage.Parse(string(bags)); err == nil {
			ctx = baggage.ContextWithBaggage(ctx, bag)
		}
	}
	return ctx
}

// A remote is a ctx with a span that travelled alone, which is made when somebody wants to know it. Most handlers
// make no span, and those of local calls need none: so these have one allocation in place of three.
type remote struct {
	context.Context
	span [spanAlone]byte
}

func (r *remote) Value(key any) any {
	if key == contextKey {
		if sc := r.spanContext(); sc.IsValid() {
			return trace.ContextWithRemoteSpanContext(context.Background(), sc).Value(key)
		}
	}
	return r.Context.Value(key)
}

// spanContext is what travelled, which may be invalid.
func (r *remote) spanContext() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID(r.span[1:17]),
		SpanID: trace.SpanID(r.span[17:25]), TraceFlags: trace.TraceFlags(r.span[25]) & trace.FlagsSampled, Remote: true})
}

// contextKey is the key by which package trace has spans in a ctx, which it tells whoever is asked for one; nil: it
// does not.
var contextKey = func() any {
	var p probe
	trace.SpanFromContext(&p)
	return p.asked
}()

type probe struct {
	context.Context
	asked any
}

func (p *probe) Value(key any) any {
	p.asked = key
	return nil
}

// unhex decodes as many digits as fill to.
func unhex(to, from []byte) bool {
	_, err := hex.Decode(to, from[:2*len(to)])
	return err == nil
}

// parse reads a traceparent, also one of a later version, which is longer.
func parse(parent, state []byte) (sc trace.SpanContext, ok bool) {
	if len(parent) < traceparent || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' ||
		len(parent) > traceparent && (parent[traceparent] != '-' || string(parent[:2]) == "00") {
		return sc, false
	}
	var version, flags [1]byte
	var cfg trace.SpanContextConfig
	if !unhex(version[:], parent) || !unhex(cfg.TraceID[:], parent[3:]) || !unhex(cfg.SpanID[:], parent[36:]) ||
		!unhex(flags[:], parent[53:]) || version[0] == 0xff {
		return sc, false
	}
	cfg.TraceFlags, cfg.Remote = trace.TraceFlags(flags[0])&trace.FlagsSampled, true
	if len(state) > 0 {
		cfg.TraceState, _ = trace.ParseTraceState(string(state)) // an invalid one is dropped
	}
	sc = trace.NewSpanContext(cfg)
	return sc, sc.IsValid()
}
