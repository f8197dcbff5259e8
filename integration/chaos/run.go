package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sessionproc/sessionproc/node"
)

const (
	saturateTime = 2 * time.Second
	settleTime   = 15 * time.Second // until every session is counted once
	settleStep   = 100 * time.Millisecond
)

func (f *fleet) marksPath() string { return filepath.Join(f.dir, "marks") }

// run runs a scenario. The error says why it could not; broken promises are in
// the result. The logs of the children stay where something went wrong.
func run(ctx context.Context, o options) (r *result, err error) {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	defer func() {
		if err == nil && len(r.Broken)+len(r.Late) == 0 {
			err = os.RemoveAll(dir)
			return
		}
		fmt.Fprintln(o.progress, "the logs of the processes are in", dir)
	}()
	f := &fleet{options: o, dir: dir, run: strconv.FormatUint(o.seed, 36), account: newAccount(o.sessions),
		leaving: map[*process]bool{}, exe: o.from}
	if f.marks, err = makeMarks(f.marksPath(), o.sessions); err != nil {
		return nil, err
	}
	if o.scenario.wired {
		f.wires, f.secret = new(wires), node.NewSecret()
	}
	defer f.close()
	stop := f.report(o.progress)
	defer stop()
	saturation, err := f.prepare(ctx)
	if err != nil {
		return nil, err
	}
	rate := min(o.rate, saturation*o.load)
	lostFields, err := f.change(ctx, rate)
	if err != nil {
		return nil, err
	}
	e, err := f.settle(ctx)
	if err != nil {
		return nil, err
	}
	e.lostFields, e.twins, e.gone, e.fault = lostFields, f.marks.twins(), f.marks.lost(), f.fault
	r = f.account.judge(e)
	r.Scenario, r.Seed, r.Nodes, r.Saturate, r.Rate = o.scenario.name, o.seed, o.nodes, saturation, rate
	return r, nil
}

// prepare starts all processes and sessions, and measures the saturation.
func (f *fleet) prepare(ctx context.Context) (saturation float64, err error) {
	if f.visitor, err = f.launch(ctx, visitorRole, "visitor"); err != nil {
		return 0, err
	}
	for i := range f.scenario.first(f.nodes) {
		if err := f.start(ctx, slot(i)); err != nil {
			return 0, err
		}
	}
	f.say("start sessions")
	all := f.staying()
	if _, err := f.ask(ctx, all, func(i int) order {
		return order{Do: seed, From: i * f.sessions / len(all), To: (i + 1) * f.sessions / len(all)}
	}); err != nil {
		return 0, err
	}
	if f.scenario.faulty {
		if err := f.gather(ctx); err != nil {
			return 0, err
		}
	}
	f.say("as fast as it goes")
	took := saturateTime
	if f.scenario.faulty {
		took = saturateTime / 4 // all that was written is in every reply
	}
	if _, err := f.ask(ctx, all, func(int) order { return order{Do: saturate, Time: took} }); err != nil {
		return 0, err
	}
	f.account.mu.Lock()
	defer f.account.mu.Unlock()
	return float64(f.account.warm) / took.Seconds(), nil
}

// change loads the cluster for the whole duration and makes the change in the
// middle of it.
func (f *fleet) change(ctx context.Context, rate float64) (lostFields int, err error) {
	if err := f.drive(ctx, rate); err != nil {
		return 0, err
	}
	began := time.Now()
	f.say("load")
	if err := wait(ctx, f.duration/6); err != nil {
		return 0, err
	}
	f.account.begin()
	lostFields, err = f.scenario.change(ctx, f)
	f.account.end()
	if err != nil {
		return 0, err
	}
	f.say("load")
	if err := wait(ctx, max(f.duration/6, f.duration-time.Since(began))); err != nil {
		return 0, err
	}
	return lostFields, f.drive(ctx, 0)
}

// settle waits until every session is on one node, and reads them all.
func (f *fleet) settle(ctx context.Context) (e ending, err error) {
	f.say("count")
	expected := f.sessions
	if f.scenario.faulty { // some may have been lost, and nobody has asked for them
		if e, err = f.readAll(ctx); err != nil {
			return e, err
		}
		for _, l := range e.finals {
			if l.Missing {
				expected--
			}
		}
	}
	for deadline := time.Now().Add(settleTime); ; {
		s, err := f.look(ctx)
		if err != nil {
			return e, err
		}
		if e.alive = s.sessions; e.alive == expected || time.Now().After(deadline) {
			break
		}
		if err := wait(ctx, settleStep); err != nil {
			return e, err
		}
	}
	alive := e.alive
	e, err = f.readAll(ctx)
	e.alive = alive
	return e, err
}

func (f *fleet) readAll(ctx context.Context) (e ending, err error) {
	staying := f.staying()
	if len(staying) == 0 {
		return e, errors.New("no replica is left to ask")
	}
	answer, err := staying[0].do(ctx, order{Do: readAll})
	e.finals = answer.Finals
	return e, err
}

// report writes a progress line each second until stop.
func (f *fleet) report(w io.Writer) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for began := time.Now(); ; {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			requests, failed := f.account.progress()
			f.mu.Lock()
			doing, replicas := f.doing, len(f.replicas)
			f.mu.Unlock()
			fmt.Fprintf(w, "%3.0f s  %d replicas  %8d requests  %d failed  %s\n", time.Since(began).Seconds(), replicas,
				requests, failed, doing)
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// wait returns an error if ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
