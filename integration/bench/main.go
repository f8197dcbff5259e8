// Command bench measures the library and the bare parts it is made of in
// turns, round by round, and prints the median of the rounds' ratios. That is
// the figure to quote: a machine's speed drifts, and the drift is in both sides
// of a round.
//
//	go run ./integration/bench -rounds 10
//	go run ./integration/bench -only CallRemote/64B
//	taskset -c 0 go run ./integration/bench -only CallRemote/64B/1/
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/sessionproc/sessionproc/integration/bench/workload"
	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
)

func main() {
	child.Main(workload.Roles)
	rounds := flag.Int("rounds", 5, "how often each pair is measured")
	window := flag.Duration("time", time.Second, "how long one measurement takes, about")
	only := flag.String("only", "", "measure only what matches this `regexp`")
	idle := flag.Int("idle", 100_000, "idle `sessions` to weigh; 0 for none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *rounds, *window, *only, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// group is work that is measured on one pair of sides.
type group struct {
	suffix string // of the names
	work   []workload.Work
	bare   func() (*workload.Bench, error)
	ours   func() (*workload.Bench, error)
}

func groups() []group {
	remote := func(secret string) func() (*workload.Bench, error) {
		return func() (*workload.Bench, error) { return workload.OpenRemote(secret) }
	}
	return []group{
		{"", workload.Local(), workload.OpenBareLocal, workload.OpenLocal},
		{"/plain", workload.Remote(), workload.OpenBareRemote, remote("")},
		{"/secret", workload.Remote(), workload.OpenBareRemote, remote(node.NewSecret())},
	}
}

func run(ctx context.Context, rounds int, window time.Duration, only string, idle int) error {
	if rounds < 1 || window <= 0 {
		return errors.New("-rounds and -time must be positive")
	}
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 24*time.Hour) // calls have a deadline, as they should
	defer cancel()
	printHead(rounds, window)
	for _, g := range groups() {
		if err := g.run(ctx, rounds, window, match); err != nil {
			return err
		}
	}
	for replicas := 1; replicas <= 2; replicas++ {
		if err := runStandbys(ctx, replicas, rounds, window, match); err != nil {
			return err
		}
	}
	if idle > 0 && match.MatchString("IdleSession") {
		if err := weigh(ctx, idle); err != nil {
			return err
		}
	}
	if idle > 0 && match.MatchString("IdleStandby") {
		w, err := workload.Weigh(ctx, idle)
		if err != nil {
			return err
		}
		printWeights(idle, w)
	}
	return nil
}

func (g group) run(ctx context.Context, rounds int, window time.Duration, match *regexp.Regexp) (err error) {
	var chosen []workload.Work
	for _, w := range g.work {
		if match.MatchString(w.Name + g.suffix) {
			chosen = append(chosen, w)
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	bare, err := g.bare()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.Close()) }()
	ours, err := g.ours()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	for _, w := range chosen {
		p := newPair(bare.Runner(w), ours.Runner(w))
		if err := p.run(ctx, rounds, window, w.Op); err != nil {
			return err
		}
		printRow(w, w.Name+g.suffix, p)
	}
	return nil
}

func weigh(ctx context.Context, sessions int) error {
	s, err := workload.OpenIdle(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	each, err := s.Grow(ctx, sessions)
	if err == nil {
		printIdle(sessions, each, time.Since(start))
	}
	return errors.Join(err, s.Close())
}
