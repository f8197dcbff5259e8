package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"
)

// fleet is the replicas that there are, and the visitor. Its methods are safe
// for concurrent use, so that a scenario can do several things at once.
type fleet struct {
	options
	dir     string // of marks and logs
	run     string // what session IDs are made of
	account *account
	marks   *marks
	wires   *wires // nil: loopback
	secret  string
	visitor *process

	mu       sync.Mutex // guards the rest
	exe      string     // the program of replicas that are started from now on
	number   int        // of the last child
	replicas []*process
	leaving  map[*process]bool // those that take no orders, being about to end or stopped
	fault    *fault            // nil: there is none
	rate     float64           // of all, requests a second
	doing    string            // for the progress line
}

// httpShare of the requests comes by HTTP.
const httpShare = 0.2

const (
	replicaStart = 40 * time.Second
	leaveTimeout = 30 * time.Second
)

// start starts a replica and gives it its share of the load.
func (f *fleet) start(ctx context.Context, slot string) error {
	f.say("start " + slot)
	p, err := f.launch(ctx, replicaRole, slot)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.replicas = append(f.replicas, p)
	f.mu.Unlock()
	f.account.joined(p.hello.Took)
	return f.share(ctx)
}

func (f *fleet) launch(ctx context.Context, role, name string) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, replicaStart)
	defer cancel()
	f.mu.Lock()
	f.number++
	exe := f.exe
	c := childConfig{Run: f.run, Seed: f.seed, Number: f.number, Slot: name, Marks: f.marksPath(), Sessions: f.sessions,
		ReadyDelay: f.readyDelay, Leave: leaveTimeout, Ledgers: f.scenario.faulty, Secret: f.secret, Quorum: f.quorum,
		Replicas: f.standbys, Eager: f.eager}
	if f.scenario.zones > 0 {
		c.Zone = zone(f.number % f.scenario.zones)
	}
	for _, p := range f.replicas {
		c.Join = append(c.Join, p.hello.Addr)
	}
	f.mu.Unlock()
	if role == visitorRole {
		exe = ""
	}
	if f.wires != nil && role == replicaRole {
		c.Host = f.wires.host(c.Number)
	}
	p, err := launch(ctx, f.wires, exe, role, name, f.dir, c, func(r report) { f.account.take(name, r) })
	if p != nil {
		p.zone = c.Zone
	}
	return p, err
}

// stop has a replica end by SIGTERM.
func (f *fleet) stop(ctx context.Context, slot string) error {
	f.say("stop " + slot)
	f.mu.Lock()
	i := slices.IndexFunc(f.replicas, func(p *process) bool { return p.name == slot && !f.leaving[p] })
	if i < 0 {
		f.mu.Unlock()
		return fmt.Errorf("chaos: there is no replica %s", slot)
	}
	p := f.replicas[i]
	f.leaving[p] = true
	f.mu.Unlock()
	within, cancel := context.WithTimeout(ctx, f.readyDelay+leaveTimeout+10*time.Second)
	defer cancel()
	began := time.Now()
	err := p.terminate(within, syscall.SIGTERM)
	if err != nil && ctx.Err() == nil {
		f.account.breach("leave: %v", err)
	}
	f.account.left(time.Since(began))
	f.mu.Lock()
	delete(f.leaving, p)
	f.replicas = slices.DeleteFunc(f.replicas, func(q *process) bool { return q == p })
	f.mu.Unlock()
	return errors.Join(ctx.Err(), f.share(ctx))
}

// restart is stop and start.
func (f *fleet) restart(ctx context.Context, slot string) error {
	if err := f.stop(ctx, slot); err != nil {
		return err
	}
	return f.start(ctx, slot)
}

// staying are the replicas that take orders, in the order of their start.
func (f *fleet) staying() []*process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.replicas), func(p *process) bool { return f.leaving[p] })
}

// drive sets the rate of all together. At 0 it returns when every request has
// ended.
func (f *fleet) drive(ctx context.Context, rate float64) error {
	f.mu.Lock()
	f.rate = rate
	f.mu.Unlock()
	return f.share(ctx)
}

// share gives every replica its share of the load, and tells the visitor who
// they are.
func (f *fleet) share(ctx context.Context) error {
	staying := f.staying()
	f.mu.Lock()
	rate := f.rate
	var targets []string
	for _, p := range f.replicas {
		targets = append(targets, p.hello.URL)
	}
	f.mu.Unlock()
	if _, err := f.visitor.do(ctx, order{Do: aim, Targets: targets}); err != nil {
		return err
	}
	if _, err := f.visitor.do(ctx, order{Do: drive, Rate: rate * httpShare}); err != nil {
		return err
	}
	_, err := f.ask(ctx, staying, func(int) order {
		return order{Do: drive, Rate: rate * (1 - httpShare) / float64(len(staying))}
	})
	return err
}

// ask gives an order to each of some replicas at the same time. One that has
// left meanwhile does not answer, which is no error.
func (f *fleet) ask(ctx context.Context, replicas []*process, d func(i int) order) ([]report, error) {
	answers, errs := make([]report, len(replicas)), make([]error, len(replicas))
	var wait sync.WaitGroup
	for i, p := range replicas {
		wait.Go(func() {
			if answers[i], errs[i] = p.do(ctx, d(i)); errors.Is(errs[i], errEnded) {
				errs[i] = nil
			}
		})
	}
	wait.Wait()
	return answers, errors.Join(errs...)
}

// close ends everything at once.
func (f *fleet) close() {
	f.mu.Lock()
	all := slices.Clone(f.replicas)
	f.mu.Unlock()
	if f.visitor != nil {
		all = append(all, f.visitor)
	}
	for _, p := range all {
		p.kill()
	}
}

func (f *fleet) say(doing string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doing = doing
}
