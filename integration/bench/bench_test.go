package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/bench/workload"
	"github.com/sessionproc/sessionproc/integration/child"
)

func TestMain(m *testing.M) {
	child.Main(workload.Roles)
	os.Exit(m.Run())
}

func TestAllPairsRun(t *testing.T) {
	require.NoError(t, run(t.Context(), 1, time.Millisecond, "^(Call|Start)Local|CallRemote/64B/(1|64)/plain|IdleSession",
		100))
}

func TestWrongFlagsAreRefused(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), 0, time.Second, "", 0), "-rounds")
	require.ErrorContains(t, run(t.Context(), 1, 0, "", 0), "-time")
	require.ErrorContains(t, run(t.Context(), 1, time.Second, "(", 0), "-only")
}

func TestRatioIsTheMedianOfTheRounds(t *testing.T) {
	p := &pair{}
	for _, round := range []struct{ bare, ours time.Duration }{{100, 150}, {200, 600}, {400, 800}} {
		p.bare.results = append(p.bare.results, workload.Result{N: 1, Elapsed: round.bare})
		p.ours.results = append(p.ours.results, workload.Result{N: 1, Elapsed: round.ours})
	}
	perOp := func(r workload.Result) float64 { return float64(r.PerOp()) }
	require.InDelta(t, 2.0, p.ratio(perOp), 1e-9) // of 1.5, 3 and 2, while the ratio of the medians is 3
	require.InDelta(t, 200, p.bare.median(perOp), 1e-9)
}
