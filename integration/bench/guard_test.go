//go:build !race

package main

import (
	"context"
	"flag"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/bench/workload"
)

// cost is what an operation may cost. Allocations are exact. Bytes may differ by 15 %, as some
// are those of other goroutines. Time is a multiple of that of the bare parts in the same
// run, with room for a busy machine: three times what an idle one shows, or more.
type cost struct {
	work          string
	allocs, bytes float64 // of both nodes, if there are two
	mostTime      float64
}

// costs are kept by TestHotPathsCostNoMoreThanKept. To renew them when a change is meant to cost more, or
// costs less, which the commit says:
//
//	go test -count=1 -v ./integration/bench -run TestHotPathsCostNoMoreThanKept -print
var costs = []cost{
	{"CallLocal/value", 0, 32, 6},
	{"CallLocal/map", 17, 456, 18},
	{"CallLocal/64x10k", 0, 32, 4},
	{"CastLocal/64x10k", 1, 159, 7},
	{"StartLocal", 5, 267, 4},
	{"CallRemote/64B/1", 2, 161, 4},
	{"CallRemote/64B/64", 2, 161, 4},
}

// idleBytes is what a session that rests takes, of 100,000: its record, its ID, its place in
// the table and its state.
const idleBytes = 227

var printCosts = flag.Bool("print", false, "print the costs for the table of TestHotPathsCostNoMoreThanKept")

// No hot path costs more than it did.
func TestHotPathsCostNoMoreThanKept(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	open := func(side func() (*workload.Bench, error)) *workload.Bench {
		b, err := side()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		return b
	}
	local, bareLocal := open(workload.OpenLocal), open(workload.OpenBareLocal)
	remote, bareRemote := open(workload.OpenTwoNodes), open(workload.OpenBareRemote)
	for i, w := range slices.Concat(workload.Local(), workload.Remote()) {
		at := slices.IndexFunc(costs, func(c cost) bool { return c.work == w.Name })
		if at < 0 {
			continue
		}
		bare, ours := bareLocal, local
		if i >= len(workload.Local()) {
			bare, ours = bareRemote, remote
		}
		t.Run(w.Name, func(t *testing.T) {
			want := costs[at]
			allocs, bytes := spent(ctx, t, ours, w)
			p := newPair(bare.Runner(w), ours.Runner(w))
			require.NoError(t, p.run(ctx, 5, 40*time.Millisecond, w.Op))
			times := p.ratio(func(r workload.Result) float64 { return float64(r.PerOp()) })
			t.Logf("{%q, %.2f, %.0f, %.1f},", w.Name, allocs, bytes, times)
			if *printCosts {
				return
			}
			require.Equal(t, want.allocs, math.Round(allocs), "allocations, %.2f", allocs)
			require.InEpsilon(t, want.bytes, bytes, 0.15, "bytes")
			require.LessOrEqual(t, times, want.mostTime, "times as long as the bare parts")
		})
	}
}

// spent is the least that an operation allocates on a side, in several rounds.
func spent(ctx context.Context, t *testing.T, b *workload.Bench, w workload.Work) (allocs, bytes float64) {
	const rounds = 5
	allocs, bytes = math.Inf(1), math.Inf(1)
	r := b.Runner(w)
	n := 20_000
	if w.Callers > 1 {
		n = 5 * workload.Sessions
	}
	for range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if w.Callers > 1 {
			_, err := r.Run(ctx, n)
			require.NoError(t, err)
		} else {
			for range n {
				require.NoError(t, r.One(ctx))
			}
		}
		runtime.ReadMemStats(&after)
		allocs = min(allocs, float64(after.Mallocs-before.Mallocs)/float64(n))
		bytes = min(bytes, float64(after.TotalAlloc-before.TotalAlloc)/float64(n))
		require.NoError(t, b.Reset(ctx))
	}
	return allocs, bytes
}

func TestAnIdleSessionIsAsSmallAsKept(t *testing.T) {
	s, err := workload.OpenIdle(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	each, err := s.Grow(t.Context(), 100_000)
	require.NoError(t, err)
	t.Logf("%.0f bytes", each)
	if !*printCosts {
		require.InEpsilon(t, idleBytes, each, 0.07) // it is 214 or 238, by the order in which maps grow
	}
}

// keptCosts are what a call costs that changes a session with a standby: its allocations at the caller, at
// the session's node and at the standby's, and its time as a multiple of one to a session without.
var keptCosts = []cost{
	{work: "CallChanging/64B/1", allocs: 13, mostTime: 12},
	{work: "CallChanging/64B/64", allocs: 11, mostTime: 14},
}

// A call to a session with a standby costs no more than it did.
func TestCallsOfSessionsWithStandbysCostNoMoreThanKept(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s, err := workload.OpenStandbysHere(1)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for i, w := range workload.Changing()[:len(keptCosts)] {
		t.Run(w.Name, func(t *testing.T) {
			want := keptCosts[i]
			require.Equal(t, want.work, w.Name)
			allocs, _ := spent(ctx, t, s.Kept, w)
			p := newPair(s.Alone.Runner(w), s.Kept.Runner(w))
			require.NoError(t, p.run(ctx, 5, 40*time.Millisecond, w.Op))
			times := p.ratio(func(r workload.Result) float64 { return float64(r.PerOp()) })
			t.Logf("{%q, %.2f, %.1f},", w.Name, allocs, times)
			if *printCosts {
				return
			}
			require.LessOrEqual(t, math.Round(allocs), want.allocs, "allocations, %.2f", allocs)
			require.LessOrEqual(t, times, want.mostTime, "times as long as without a standby")
		})
	}
}
