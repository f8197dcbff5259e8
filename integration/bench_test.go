package integration_test

import (
	"context"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/bench/workload"
	"github.com/sessionproc/sessionproc/node"
)

// The benchmarks and, under the same names with Bare before them, the floors
// to compare them with. Only ratios taken in one run mean anything; program
// bench takes them in turns.

var idle = flag.Int("idle", 100_000, "`sessions` that BenchmarkIdleSession starts")

// opener opens one side; the bare sides and ours look the same from here on.
type opener func() (*workload.Bench, error)

func remoteWith(secret string) opener {
	return func() (*workload.Bench, error) { return workload.OpenRemote(secret) }
}

func BenchmarkCallLocal(b *testing.B)     { benchmarkLocal(b, "CallLocal/", workload.OpenLocal) }
func BenchmarkBareCallLocal(b *testing.B) { benchmarkLocal(b, "CallLocal/", workload.OpenBareLocal) }
func BenchmarkCastLocal(b *testing.B)     { benchmarkLocal(b, "CastLocal/", workload.OpenLocal) }
func BenchmarkBareCastLocal(b *testing.B) { benchmarkLocal(b, "CastLocal/", workload.OpenBareLocal) }
func BenchmarkStartLocal(b *testing.B)    { benchmarkLocal(b, "StartLocal", workload.OpenLocal) }
func BenchmarkBareStartLocal(b *testing.B) {
	benchmarkLocal(b, "StartLocal", workload.OpenBareLocal)
}

func BenchmarkCallRemote(b *testing.B) { benchmarkRemote(b, "CallRemote/") }
func BenchmarkCastRemote(b *testing.B) { benchmarkRemote(b, "CastRemote/") }

func BenchmarkBareCallRemote(b *testing.B) { benchmarkBareRemote(b, "CallRemote/") }
func BenchmarkBareCastRemote(b *testing.B) { benchmarkBareRemote(b, "CastRemote/") }

func benchmarkLocal(b *testing.B, prefix string, open opener) {
	bench := opened(b, open)
	for _, w := range workload.Local() {
		if name, ok := strings.CutPrefix(w.Name, prefix); ok {
			named(b, name, func(b *testing.B) { measure(b, bench, w) })
		}
	}
}

// benchmarkRemote measures without and with a secret: in the open, and in TLS.
func benchmarkRemote(b *testing.B, prefix string) {
	plain, secret := opened(b, remoteWith("")), opened(b, remoteWith(node.NewSecret()))
	for _, w := range workload.Remote() {
		if name, ok := strings.CutPrefix(w.Name, prefix); ok {
			b.Run(name+"/plain", func(b *testing.B) { measure(b, plain, w) })
			b.Run(name+"/secret", func(b *testing.B) { measure(b, secret, w) })
		}
	}
}

func benchmarkBareRemote(b *testing.B, prefix string) {
	bench := opened(b, workload.OpenBareRemote)
	for _, w := range workload.Remote() {
		if name, ok := strings.CutPrefix(w.Name, prefix); ok {
			b.Run(name, func(b *testing.B) { measure(b, bench, w) })
		}
	}
}

func opened(b *testing.B, open opener) *workload.Bench {
	bench, err := open()
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, bench.Close()) })
	return bench
}

func named(b *testing.B, name string, f func(b *testing.B)) {
	if name == "" {
		f(b)
		return
	}
	b.Run(name, f)
}

// measure runs w. Operations of one caller are timed by b.Loop; those of many
// have to be shared out, so their number has to be known.
func measure(b *testing.B, bench *workload.Bench, w workload.Work) {
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	b.ReportAllocs()
	r := bench.Runner(w)
	if w.Op == workload.Start {
		measureStarts(ctx, b, bench, r)
		return
	}
	if w.Callers == 1 {
		for b.Loop() {
			if err := r.One(ctx); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	b.ResetTimer()
	result, err := r.Run(ctx, b.N)
	b.StopTimer()
	require.NoError(b, err)
	b.ReportMetric(result.CPUPerMillion(), "cpu-s/Mop")
	b.ReportMetric(result.Rate(), "op/s")
}

// measureStarts ends the sessions now and then, while the clock stands.
func measureStarts(ctx context.Context, b *testing.B, bench *workload.Bench, r *workload.Runner) {
	i := 0
	for b.Loop() {
		if err := r.One(ctx); err != nil {
			b.Fatal(err)
		}
		if i++; i%workload.MaxStarts == 0 {
			b.StopTimer()
			require.NoError(b, bench.Reset(ctx))
			b.StartTimer()
		}
	}
	require.NoError(b, bench.Reset(ctx))
}

// BenchmarkIdleSession starts -idle sessions a time, nearly all of which
// nobody ever calls.
func BenchmarkIdleSession(b *testing.B) {
	s, err := workload.OpenIdle(b.Context())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	var each float64
	for b.Loop() {
		each, err = s.Grow(b.Context(), *idle)
		require.NoError(b, err)
	}
	b.ReportMetric(each, "B/session")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N**idle)*1e9, "ns/session")
}
