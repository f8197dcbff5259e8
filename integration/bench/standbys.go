package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/sessionproc/sessionproc/integration/bench/workload"
)

// A comparison is one work that changes sessions: the bare parts, sessions without standbys, and
// sessions with them, with a result of each per round.
type comparison struct {
	work              workload.Work
	bare, alone, kept sample
}

// more is by how many bare round trips a call takes longer with standbys: the median of the rounds.
func (c *comparison) more() float64 {
	values := make([]float64, len(c.kept.results))
	for i, kept := range c.kept.results {
		values[i] = (p50(kept) - p50(c.alone.results[i])) / p50(c.bare.results[i])
	}
	return median(values)
}

func runStandbys(ctx context.Context, replicas, rounds int, window time.Duration, match *regexp.Regexp) (err error) {
	suffix := fmt.Sprint("/k=", replicas)
	var chosen []workload.Work
	for _, w := range workload.Changing() {
		if match.MatchString(w.Name + suffix) {
			chosen = append(chosen, w)
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	bare, err := workload.OpenBareRemote()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.Close()) }()
	ours, err := workload.OpenStandbys(replicas)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	if replicas == 1 {
		printKeptHead()
	}
	for _, w := range chosen {
		c := comparison{work: w, bare: sample{runner: bare.Runner(w)},
			alone: sample{runner: ours.Alone.Runner(w)}, kept: sample{runner: ours.Kept.Runner(w)}}
		if err := inTurns(ctx, rounds, window, w.Op, &c.bare, &c.alone, &c.kept); err != nil {
			return err
		}
		printKeptRow(w.Name+suffix, &c)
	}
	return nil
}
