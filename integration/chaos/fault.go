package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	agreeStep  = 100 * time.Millisecond
	agreeLimit = time.Minute // until a run that does not heal goes on all the same
)

// aim notes what is about to be done to some replicas.
func (f *fleet) aim(x *fault, victims []*process) {
	if x.victims == nil {
		x.victims, x.urls, x.affected = map[int]bool{}, map[string]bool{}, make([]bool, f.sessions)
	}
	for _, p := range victims {
		x.victims[p.number], x.urls[p.hello.URL] = true, true
		x.names = append(x.names, p.hello.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = x
}

// find notes which sessions the victims have.
func (f *fleet) find(x *fault, victims []*process) {
	for i := range x.affected {
		x.affected[i] = x.affected[i] || x.split || slices.ContainsFunc(victims, func(p *process) bool {
			return f.marks.lastIn(i,
				p.cmd.Process.Pid)
		})
	}
}

// crash kills replicas, all at the same moment.
func (f *fleet) crash(ctx context.Context, x *fault, victims []*process) error {
	x.dead, x.flight = true, flightTime
	f.aim(x, victims)
	f.say("kill")
	f.mu.Lock()
	f.replicas = slices.DeleteFunc(f.replicas, func(p *process) bool { return slices.Contains(victims, p) })
	f.mu.Unlock()
	x.struck = time.Now().UnixNano()
	for i, p := range victims {
		if i > 0 {
			time.Sleep(x.apart)
		}
		_ = p.cmd.Process.Kill()
	}
	return f.bury(ctx, x, victims)
}

// bury notes what victims had that are killed.
func (f *fleet) bury(ctx context.Context, x *fault, victims []*process) error {
	var pids []int
	for _, p := range victims {
		p.kill()
		pids = append(pids, p.cmd.Process.Pid)
	}
	f.find(x, victims)
	f.forget(x, pids...)
	return f.share(ctx)
}

// forget begins anew with the marks of the sessions that a fault has met.
func (f *fleet) forget(x *fault, dead ...int) {
	for i, met := range x.affected {
		if met && f.marks.forget(i, dead...) {
			x.twins++
		}
	}
}

// halt stops a replica, as a debugger or a paused virtual machine does, for a time.
func (f *fleet) halt(ctx context.Context, x *fault, p *process, d time.Duration) error {
	x.flight = detectTime
	f.aim(x, []*process{p})
	f.say("stop " + p.name)
	f.mu.Lock()
	f.leaving[p] = true // it takes no orders
	f.mu.Unlock()
	if err := f.share(ctx); err != nil {
		return err
	}
	x.struck = time.Now().UnixNano()
	if err := p.cmd.Process.Signal(halted); err != nil {
		return fmt.Errorf("chaos: stop %s: %w", p.name, err)
	}
	f.find(x, []*process{p})
	if err := wait(ctx, d); err != nil {
		return err
	}
	x.mended = time.Now().UnixNano()
	if err := p.cmd.Process.Signal(continued); err != nil {
		return fmt.Errorf("chaos: continue %s: %w", p.name, err)
	}
	f.mu.Lock()
	delete(f.leaving, p)
	f.mu.Unlock()
	return f.share(ctx)
}

// agree waits until all replicas see one another and nobody else, and no session
// is in two places.
func (f *fleet) agree(ctx context.Context) error {
	f.say("until all agree")
	x := f.fault
	since := time.Unix(0, max(x.struck, x.mended))
	for {
		s, err := f.look(ctx)
		if err != nil {
			return err
		}
		if s.same && x.agreed == 0 {
			x.agreed = time.Since(since)
		}
		if x.agreed > 0 && (x.dead || s.sessions == f.sessions) {
			break
		}
		switch passed := time.Since(since); {
		case passed < agreeLimit:
		case x.agreed == 0:
			f.account.breach("the replicas do not see one another after %v", agreeLimit)
		default:
			f.account.breach("%d sessions had %d processes after %v", f.sessions, s.sessions, agreeLimit)
		}
		if time.Since(since) >= agreeLimit {
			break
		}
		if err := wait(ctx, agreeStep); err != nil {
			return err
		}
	}
	x.over = time.Now().UnixNano()
	if !x.dead {
		f.forget(x)
	}
	return nil
}

// sight is what the replicas say of the cluster.
type sight struct {
	same     bool // they see one another and nobody else
	home     bool // as many sessions are at each as belong there
	sessions int  // of all together
}

func (f *fleet) look(ctx context.Context) (s sight, err error) {
	replicas := f.staying()
	answers, err := f.ask(ctx, replicas, func(int) order { return order{Do: count} })
	s.same, s.home = true, true
	for _, a := range answers {
		s.sessions += a.Count
		s.same = s.same && len(a.Sees) == len(replicas) && slices.Equal(a.Sees, answers[0].Sees)
		s.home = s.home && a.Count == a.Owns
	}
	return s, err
}

// gather waits until every session is where it belongs, and stays: then the nodes
// that have answered before a fault are those that it finds the sessions at.
func (f *fleet) gather(ctx context.Context) error {
	f.say("until every session is where it belongs")
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		s, err := f.look(ctx)
		if err != nil || s.same && s.home && s.sessions == f.sessions {
			return err
		}
		if err := wait(ctx, settleStep); err != nil {
			return fmt.Errorf("chaos: sessions still move: %w", err)
		}
	}
}
