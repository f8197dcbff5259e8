package nodeotel

import (
	"bytes"
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
)

// What travels is the values of the W3C headers traceparent, tracestate and baggage, each but the first after a
// line feed, and empty if there is none. Later releases may add more lines.
const (
	maxCarried    = 1 << 10 // see node.Config.Inject
	traceparent   = 55      // bytes of version 00
	versionPrefix = "00-"
)

// inject returns what of ctx is to travel, or nil. What does not fit is left out: baggage first.
func inject(ctx context.Context, withBaggage bool) []byte {
	sc := trace.SpanContextFromContext(ctx)
	var bags string
	if withBaggage {
		bags = baggage.FromContext(ctx).String()
	}
	if !sc.IsValid() && bags == "" {
		return nil
	}
	b := make([]byte, 0, traceparent)
	if sc.IsValid() {
		id, span := sc.TraceID(), sc.SpanID()
		b = append(b, versionPrefix...)
		b = hex.AppendEncode(b, id[:])
		b = append(b, '-')
		b = hex.AppendEncode(b, span[:])
		b = append(b, '-')
		b = hex.AppendEncode(b, []byte{byte(sc.TraceFlags())})
	}
	state := ""
	if sc.TraceState().Len() > 0 {
		state = sc.TraceState().String()
	}
	if len(b)+1+len(state) > maxCarried-1 {
		state = ""
	}
	if len(b)+1+len(state)+1+len(bags) > maxCarried {
		bags = ""
	}
	if state == "" && bags == "" {
		return b
	}
	b = append(append(b, '\n'), state...)
	if bags != "" {
		b = append(append(b, '\n'), bags...)
	}
	return b
}

// extract returns ctx with what has travelled, as far as it is valid.
func extract(ctx context.Context, carried []byte, withBaggage bool) context.Context {
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

// parse reads a traceparent, also one of a later version, which is longer.
func parse(parent, state []byte) (sc trace.SpanContext, ok bool) {
	if len(parent) < traceparent || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' ||
		len(parent) > traceparent && (parent[traceparent] != '-' || string(parent[:2]) == "00") {
		return sc, false
	}
	var version, flags [1]byte
	var cfg trace.SpanContextConfig
	for _, f := range []struct {
		to   []byte
		from []byte
	}{{version[:], parent[:2]}, {cfg.TraceID[:], parent[3:35]}, {cfg.SpanID[:], parent[36:52]}, {flags[:], parent[53:55]}} {
		if _, err := hex.Decode(f.to, f.from); err != nil {
			return sc, false
		}
	}
	if version[0] == 0xff {
		return sc, false
	}
	cfg.TraceFlags, cfg.Remote = trace.TraceFlags(flags[0])&trace.FlagsSampled, true
	if len(state) > 0 {
		cfg.TraceState, _ = trace.ParseTraceState(string(state)) // an invalid one is dropped
	}
	sc = trace.NewSpanContext(cfg)
	return sc, sc.IsValid()
}
