package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// result is what a run has shown.
type result struct {
	o        options
	drain    *drained
	own      int64    // bytes of the sessions at the node that drains
	peaks    [2]int64 // most of each process beyond its bare memory
	cpu      [2]time.Duration
	calls    calls
	found    int // sessions in the end
	counted  int64
	nodes    [2]string
	filledIn time.Duration
}

// run starts both nodes, fills the first, drains it under load, and looks what is left.
func run(ctx context.Context, o options) (*result, error) {
	r := &result{o: o, nodes: [2]string{"drains", "receives"}}
	var peers [2]*peer
	for i, exe := range []string{o.drainer, o.receiver} {
		var err error
		if peers[i], err = launch(exe, r.nodes[i]); err != nil {
			return nil, err
		}
		defer peers[i].end()
	}
	tried, err := r.fill(ctx, peers)
	if err != nil {
		return nil, err
	}
	stop, err := compute(o.busy)
	if err != nil {
		return nil, err
	}
	defer stop()
	for _, p := range peers {
		o := order{Do: load, Count: tried, Owner: r.nodes[0], Rate: r.o.rate / 2, Profiles: r.o.profiles}
		if _, err := p.do(ctx, o); err != nil {
			return nil, err
		}
	}
	time.Sleep(warmUp)
	fmt.Fprintf(o.progress, "drain: draining %d sessions\n", o.sessions)
	a, err := peers[0].do(ctx, order{Do: drain, Deadline: o.deadline})
	if err != nil {
		return nil, err
	}
	r.drain = a.Drain
	return r, r.reckon(ctx, peers, tried, stop)
}

// warmUp is how long the load runs before the drain.
const warmUp = 500 * time.Millisecond

// fill starts the nodes and the sessions of the first one.
func (r *result) fill(ctx context.Context, peers [2]*peer) (tried int, err error) {
	if r.o.full {
		r.o.handoffRate = math.MaxInt // node.Unbounded; a receiver of another release has a greater rate than it reaches
	}
	cfg := settings{State: r.o.state, Rate: r.o.handoffRate, Bytes: r.o.handoffBytes, Concurrency: r.o.concurrency}
	for _, p := range peers {
		a, err := p.do(ctx, order{Do: serve, Config: cfg})
		if err != nil {
			return 0, err
		}
		cfg.Join = a.Addr
	}
	begin := time.Now()
	a, err := peers[0].do(ctx, order{Do: fill, Count: r.o.sessions, Config: cfg})
	if err != nil {
		return 0, err
	}
	r.filledIn, r.own = time.Since(begin), a.Own
	fmt.Fprintf(r.o.progress, "drain: filled in %v\n", r.filledIn.Round(time.Millisecond))
	return a.Count, nil
}

// reckon ends the load and looks what has become of all sessions.
func (r *result) reckon(ctx context.Context, peers [2]*peer, tried int, stop func()) error {
	for i, p := range peers {
		a, err := p.do(ctx, order{Do: unload})
		if err != nil {
			return err
		}
		r.cpu[i], r.peaks[i] = a.CPU, a.Peak-a.Bare
		r.calls.Made += a.Calls.Made
		r.calls.Added += a.Calls.Added
		r.calls.Failed += a.Calls.Failed
		r.calls.Failures = append(r.calls.Failures, a.Calls.Failures...)
		r.calls.Latencies = append(r.calls.Latencies, a.Calls.Latencies...)
	}
	stop()
	slices.Sort(r.calls.Latencies)
	a, err := peers[1].do(ctx, order{Do: verify, Count: tried})
	if err != nil {
		return err
	}
	r.found, r.counted = a.Count, a.Sum
	return nil
}

// broken are the promises that were broken.
func (r *result) broken() (all []string) {
	if r.drain.Err != "" {
		all = append(all, "the drain was not done in time: "+r.drain.Err)
	}
	if r.calls.Failed > 0 {
		all = append(all, fmt.Sprintf("%d of %d calls failed", r.calls.Failed, r.calls.Made))
	}
	if r.found != r.o.sessions {
		all = append(all, fmt.Sprintf("%d sessions are left of %d", r.found, r.o.sessions))
	}
	if r.counted < r.calls.Added {
		all = append(all, fmt.Sprintf("%d of %d answered calls are lost", r.calls.Added-r.counted, r.calls.Added))
	}
	return all
}

func (r *result) latency(quantile float64) time.Duration {
	if len(r.calls.Latencies) == 0 {
		return 0
	}
	return r.calls.Latencies[int(quantile*float64(len(r.calls.Latencies)-1))]
}

func (r *result) perMillion(cpu time.Duration) float64 {
	moved := max(1, r.o.sessions-r.drain.Left)
	return cpu.Seconds() / float64(moved) * 1e6
}

func (r *result) print(w io.Writer) {
	d := r.drain
	moved := r.o.sessions - d.Left
	fmt.Fprintf(w, "sessions  %d of %d bytes, beside %d busy processes; deadline %v\n", r.o.sessions, r.o.state, r.o.busy,
		r.o.deadline)
	fmt.Fprintf(w, "drain     %.1f s, %d left, first after %.2f s; %.0f sessions/s, %.1f MB/s\n", d.Took.Seconds(),
		d.Left, d.First.Seconds(),
		float64(moved)/d.Took.Seconds(), float64(d.Bytes)/1e6/d.Took.Seconds())
	if d.TooLong > 0 {
		fmt.Fprintf(w, "          after %.1f s Drain said that its deadline cannot be met\n", d.TooLong.Seconds())
	}
	fmt.Fprintf(w, "course    ")
	for i, last := 0, 0; i < len(d.Course); i++ {
		if at := int(d.Course[i].At.Seconds()); at > last {
			last = at
			fmt.Fprintf(w, "%d ", r.o.sessions-d.Course[i].Left)
		}
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "estimate  %.1f s before; later wrong by at most: DrainEstimate %.1f, Progress %.1f\n",
		d.Estimate.Seconds(),
		d.wrong(func(p point) time.Duration { return p.Estimate }),
		d.wrong(func(p point) time.Duration { return p.Progress }))
	fmt.Fprintf(w, "calls     %d, failed %d; p50 %v, p99 %v, longest %v\n", r.calls.Made, r.calls.Failed,
		r.latency(0.5).Round(10*time.Microsecond),
		r.latency(0.99).Round(10*time.Microsecond), r.latency(1).Round(10*time.Microsecond))
	for _, f := range r.calls.Failures {
		fmt.Fprintf(w, "          %s\n", f)
	}
	fmt.Fprintf(w, "cpu       %.1f + %.1f s, %.1f + %.1f s per million\n", r.cpu[0].Seconds(), r.cpu[1].Seconds(),
		r.perMillion(r.cpu[0]), r.perMillion(r.cpu[1]))
	if r.own > 0 {
		fmt.Fprintf(w, "memory    own %.0f MB (%.0f B each); at most %.1f × and %.1f ×\n", float64(r.own)/1e6,
			float64(r.own)/float64(r.o.sessions),
			float64(r.peaks[0])/float64(r.own), float64(r.peaks[1])/float64(r.own))
	}
	for _, b := range r.broken() {
		fmt.Fprintln(w, "BROKEN    "+b)
	}
}
