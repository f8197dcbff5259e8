package nodeotel_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeotel"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A sampled is a node whose calls are sampled in some way, and what one of a session of its own may cost. Times are the
// multiple of one without a Trace, with room for a busy machine: an idle one shows half of what goes beyond 1, or less.
type sampled struct {
	name     string
	sampler  sdk.Sampler
	allocs   float64
	mostTime float64
	call     func() error
	least    float64 // ns of a call
}

func startSampled(t *testing.T, s *sampled) {
	echoes := sessionproc.KindOf[sessionproc.None]("echo")
	echo := sessionproc.MethodOf[int, int](echoes, "echo")
	k := sessionproc.NewKind(echoes, func(context.Context, sessionproc.None) (*int, error) { return new(int), nil },
		sessionproc.KindConfig{StartOnCall: true})
	sessionproc.HandleCall(k, echo, func(_ *int, _ context.Context, i int) (int, error) { return i, nil })
	cfg := node.Config{Kinds: []sessionproc.AnyKind{k}}
	if s.sampler != nil {
		nodeotel.Instrument(&cfg, nodeotel.Options{TracerProvider: sdk.NewTracerProvider(sdk.WithSampler(s.sampler))})
	}
	n, err := node.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	s.least = math.Inf(1)
	s.call = func() error {
		_, err := echo.Call(t.Context(), n, "echo", 1)
		return err
	}
}

// A call of a session of the same node allocates and takes no more for its spans than it did. Two of the allocations
// of one that is not sampled are the SDK's.
func TestALocalCallCostsNoMoreThanKept(t *testing.T) {
	sides := []*sampled{
		{name: "nil", mostTime: math.Inf(1)},
		{name: "never", sampler: sdk.NeverSample(), allocs: 5, mostTime: 3.8},
		{name: "always", sampler: sdk.AlwaysSample(), allocs: 8, mostTime: 6},
	}
	for _, s := range sides {
		startSampled(t, s)
	}
	const rounds, calls = 200, 300
	for range rounds { // the least of many short ones, in turns: other programs may take the processor for a while
		for _, s := range sides {
			since := time.Now()
			for range calls {
				if err := s.call(); err != nil {
					t.Fatal(err)
				}
			}
			s.least = min(s.least, float64(time.Since(since))/calls)
		}
	}
	for _, s := range sides {
		t.Logf("%s: %.0f ns, %.2f", s.name, s.least, s.least/sides[0].least)
		require.LessOrEqual(t, s.least/sides[0].least, s.mostTime, s.name)
		require.Equal(t, s.allocs, testing.AllocsPerRun(5000, func() { _ = s.call() }), s.name)
	}
}
