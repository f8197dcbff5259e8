package main

import (
	"context"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/integration/bench/workload"
)

// pair is one work on both sides, with a result of each per round.
type pair struct {
	bare, ours sample
}

type sample struct {
	runner  *workload.Runner
	n       int // operations that fill the window
	results []workload.Result
}

func newPair(bare, ours *workload.Runner) *pair {
	return &pair{bare: sample{runner: bare}, ours: sample{runner: ours}}
}

// run measures both sides in turns.
func (p *pair) run(ctx context.Context, rounds int, window time.Duration, op workload.Op) error {
	return inTurns(ctx, rounds, window, op, &p.bare, &p.ours)
}

// inTurns measures sides in turns; which goes first changes with each round.
func inTurns(ctx context.Context, rounds int, window time.Duration, op workload.Op, sides ...*sample) error {
	for _, s := range sides {
		if err := s.calibrate(ctx, window, op); err != nil {
			return err
		}
	}
	for range rounds {
		slices.Reverse(sides)
		for _, s := range sides {
			if err := ctx.Err(); err != nil {
				return err
			}
			runtime.GC()
			r, err := s.runner.Run(ctx, s.n)
			if err != nil {
				return err
			}
			s.results = append(s.results, r)
		}
	}
	return nil
}

// calibrate finds how many operations take about as long as window. It warms
// the side up too. There are always so many casts that the last look at every
// session, whether it has handled them, counts for little.
func (s *sample) calibrate(ctx context.Context, window time.Duration, op workload.Op) error {
	least, most := 1000, math.MaxInt
	switch op {
	case workload.Cast:
		least = 20 * workload.Sessions
	case workload.Start:
		most = workload.MaxStarts
	}
	for s.n = least; ; s.n = min(4*s.n, most) {
		r, err := s.runner.Run(ctx, s.n)
		if err != nil {
			return err
		}
		if r.Elapsed > window/5 || s.n == most {
			s.n = int(float64(s.n) * window.Seconds() / r.Elapsed.Seconds())
			s.n = min(max(s.n, least), most)
			return nil
		}
	}
}

// median is the median of what f says about each round.
func (s *sample) median(f func(workload.Result) float64) float64 {
	values := make([]float64, len(s.results))
	for i, r := range s.results {
		values[i] = f(r)
	}
	return median(values)
}

// ratio is the median, over the rounds, of ours by bare.
func (p *pair) ratio(f func(workload.Result) float64) float64 { return p.ours.by(&p.bare, f) }

// by is the median, over the rounds, of s by o.
func (s *sample) by(o *sample, f func(workload.Result) float64) float64 {
	values := make([]float64, len(s.results))
	for i, r := range s.results {
		values[i] = f(r) / f(o.results[i])
	}
	return median(values)
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
