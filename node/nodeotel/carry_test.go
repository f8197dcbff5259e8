package nodeotel

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	alone  = "\x00\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36\x00\xf0\x67\xaa\x0b\xa9\x02\xb7\x01"
)

func withParent(t testing.TB, state string) context.Context {
	t.Helper()
	ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": parent,
		"tracestate": state})
	require.True(t, trace.SpanContextFromContext(ctx).IsValid())
	return ctx
}

func TestWhatTravelsIsWhatTheW3CHeadersSay(t *testing.T) {
	ctx := withParent(t, "a=1,b=2")
	require.Equal(t, parent+"\na=1,b=2", string(inject(ctx, false)))
	back := trace.SpanContextFromContext(extract(t.Context(), inject(ctx, false), false))
	require.True(t, back.Equal(trace.SpanContextFromContext(ctx)))
	require.Nil(t, inject(t.Context(), true))
}

func TestASpanTravelsAloneInBytes(t *testing.T) {
	ctx := withParent(t, "")
	require.Equal(t, alone, string(inject(ctx, true)))
	for _, b := range []string{alone, alone + "more of a later release", parent, parent + "\n"} {
		require.Equal(t, trace.SpanContextFromContext(ctx), trace.SpanContextFromContext(extract(t.Context(), []byte(b), false)), b)
	}
	require.Equal(t, 1., testing.AllocsPerRun(100, func() { inject(ctx, false) }))
	carried := []byte(alone)
	require.Equal(t, 1., testing.AllocsPerRun(100, func() { extract(ctx, carried, false) }))
}

func TestBaggageTravelsIfAskedForAndIfItFits(t *testing.T) {
	bag, err := baggage.Parse("user=7")
	require.NoError(t, err)
	ctx := baggage.ContextWithBaggage(withParent(t, "a=1"), bag)
	require.Equal(t, parent+"\na=1", string(inject(ctx, false)))
	b := inject(ctx, true)
	require.Equal(t, parent+"\na=1\nuser=7", string(b))
	require.Equal(t, "7", baggage.FromContext(extract(t.Context(), b, true)).Member("user").Value())
	require.Empty(t, baggage.FromContext(extract(t.Context(), b, false)).Members(), "a node that does not want it")
	alone := inject(baggage.ContextWithBaggage(t.Context(), bag), true)
	require.Equal(t, "\n\nuser=7", string(alone))
	require.Equal(t, "7", baggage.FromContext(extract(t.Context(), alone, true)).Member("user").Value())

	large, err := baggage.Parse("user=" + strings.Repeat("7", 1000))
	require.NoError(t, err)
	require.Equal(t, parent+"\na=1", string(inject(baggage.ContextWithBaggage(ctx, large), true)))
}

func TestTracestateThatDoesNotFitIsLeftOut(t *testing.T) {
	var states []string
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		states = append(states, key+"="+strings.Repeat("1", 240))
	}
	require.Equal(t, alone, string(inject(withParent(t, strings.Join(states, ",")), false)))
}

func TestParentThatIsInvalidIsNone(t *testing.T) {
	require.NotNil(t, contextKey, "package trace has spans in a ctx by another way: drop type remote")
	outer := withParent(t, "")
	for _, b := range []string{strings.Repeat("x", traceparent), "00-" + strings.Repeat("0", 32) + parent[35:],
		alone[:spanAlone-1], strings.Repeat("\x00", 17) + alone[17:], "\x01" + alone[1:]} {
		require.False(t, trace.SpanContextFromContext(extract(t.Context(), []byte(b), false)).IsValid(), b)
		require.True(t, trace.SpanContextFromContext(extract(outer, []byte(b), false)).IsValid(), "that of ctx")
	}
}

func TestParentOfALaterVersionIsRead(t *testing.T) {
	ctx := extract(t.Context(), []byte("01"+parent[2:]+"-more\na=1\nb=2\nsomething new"), true)
	require.Equal(t, parent[3:35], trace.SpanContextFromContext(ctx).TraceID().String())
}

// Whatever comes from another node, extract does not panic, and makes no span context that is invalid.
func FuzzExtract(f *testing.F) {
	for _, s := range []string{parent, parent + "\na=1", parent + "\n\nuser=7", "01" + parent[2:] + "-x",
		"ff" + parent[2:],
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", parent[:54], "\n\n", "", alone, alone[:25],
		alone + "\n", "\x01" + alone[1:], strings.Repeat("\x00", spanAlone)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx := extract(context.Background(), b, true)
		sc := trace.SpanContextFromContext(ctx)
		theirs := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{
			"traceparent": strings.Split(string(b), "\n")[0]})
		if trace.SpanContextFromContext(theirs).IsValid() {
			require.Equal(t, trace.SpanContextFromContext(theirs).SpanID(), sc.SpanID())
		}
		on := inject(ctx, true)
		require.LessOrEqual(t, len(on), maxCarried)
		again := trace.SpanContextFromContext(extract(context.Background(), on, true))
		require.Equal(t, sc.SpanID(), again.SpanID())
		require.Equal(t, sc.TraceFlags(), again.TraceFlags())
	})
}
