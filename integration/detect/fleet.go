package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
)

const (
	agreeWithin = 2 * time.Minute
	settleFor   = 2 * time.Second // after all see one another: sessions move
	stallFor    = 500 * time.Millisecond
	stallEvery  = 1700 * time.Millisecond
	stallLate   = 20 * time.Millisecond // from then on it notices
)

// A process is a replica as the parent sees it.
type process struct {
	slot string
	addr string
	name string // slot/boot
	sees []string
	cmd  *exec.Cmd
	in   io.WriteCloser
	last report // the last one with figures
}

// said is a report and its process.
type said struct {
	from *process
	report
}

// fleet are the processes. Only the goroutine of run uses it.
type fleet struct {
	options
	secret  string
	all     []*process
	reports chan said
	ended   int64 // calls by processes that were killed
	figures figures
	served  int64              // when the last order was done, in unix nanoseconds; 0: not yet
	victim  *process           // what is killed now; nil: nothing
	lost    map[*process]int64 // when each process did not see the victim any more
}

// run does what the flags say.
func run(ctx context.Context, o options) (*figures, error) {
	f := &fleet{options: o, secret: node.NewSecret(), reports: make(chan said, 1024)}
	defer f.end()
	for i := range o.nodes {
		if err := f.start(ctx, fmt.Sprint("n", i)); err != nil {
			return nil, err
		}
	}
	if err := f.agree(ctx); err != nil {
		return nil, err
	}
	calls, used, begun := f.totals()
	if err := f.listen(ctx, o.steady, func() bool { return false }); err != nil {
		return nil, err
	}
	for i := range o.stalls {
		if err := f.stall(ctx, f.all[i%len(f.all)]); err != nil {
			return nil, err
		}
	}
	for i := range o.kills {
		if err := f.kill(ctx, f.all[i%len(f.all)]); err != nil {
			return nil, err
		}
	}
	callsAfter, usedAfter, ended := f.totals()
	f.figures.calls = callsAfter - calls
	if o.kills == 0 {
		f.figures.cpu = (usedAfter - used).Seconds() / ended.Sub(begun).Seconds()
	}
	return &f.figures, nil
}

// start starts a replica and waits until it serves.
func (f *fleet) start(ctx context.Context, slot string) error {
	s := settings{Slot: slot, Secret: f.secret, Gossip: f.gossip, Callers: f.callers}
	for _, p := range f.all {
		s.Join = append(s.Join, p.addr)
	}
	cmd, err := child.Command("", replicaRole, s)
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{slot: slot, cmd: cmd, in: in}
	f.all = append(f.all, p)
	go func() {
		for lines := json.NewDecoder(out); ; {
			var r report
			if lines.Decode(&r) != nil {
				return
			}
			f.reports <- said{p, r}
		}
	}()
	return f.listen(ctx, startWithin, func() bool { return p.addr != "" })
}

// listen takes reports in until done, or for a time. If that is over sooner, it returns an
// error unless done never is.
func (f *fleet) listen(ctx context.Context, within time.Duration, done func() bool) error {
	over := time.NewTimer(within)
	defer over.Stop()
	for !done() {
		select {
		case s := <-f.reports:
			if s.Err != "" {
				return fmt.Errorf("%s: %s", s.from.slot, s.Err)
			}
			f.take(s)
		case <-over.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// take takes a report in.
func (f *fleet) take(s said) {
	p := s.from
	if !slices.Contains(f.all, p) {
		return // it was killed
	}
	switch {
	case s.Addr != "":
		p.addr = s.Addr
	case s.Sees != nil:
		p.sees, p.last = s.Sees, s.report
		for _, name := range s.Sees {
			if strings.HasPrefix(name, p.slot+"/") {
				p.name = name
			}
		}
	case s.Served:
		f.served = s.At
	case s.Lost != "" && f.victim != nil && s.Lost == f.victim.name:
		f.lost[p] = s.At
	case s.Lost != "":
		f.falselyDead(p, s.Lost)
	}
}

// agree waits until all see one another and nobody else, and then for a while.
func (f *fleet) agree(ctx context.Context) error {
	agreed := func() bool {
		var names []string
		for _, p := range f.all {
			names = append(names, p.name)
		}
		slices.Sort(names)
		return !slices.ContainsFunc(f.all, func(p *process) bool {
			return !slices.Equal(slices.Sorted(slices.Values(p.sees)), names)
		})
	}
	if err := f.listen(ctx, agreeWithin, agreed); err != nil {
		return err
	}
	if !agreed() {
		return errors.New("the processes do not see one another")
	}
	f.victim = nil
	return f.listen(ctx, settleFor, func() bool { return false })
}

// stall stops a process for as long as it may stand still without noticing. If that lasted
// longer, since this process came late, others may declare it dead.
func (f *fleet) stall(ctx context.Context, p *process) error {
	f.victim, f.lost = p, map[*process]int64{}
	begun := time.Now()
	if err := p.cmd.Process.Signal(halted); err != nil {
		return err
	}
	if err := f.listen(ctx, stallFor, func() bool { return false }); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(continued); err != nil {
		return err
	}
	took := time.Since(begun)
	if err := f.listen(ctx, stallEvery, func() bool { return false }); err != nil {
		return err
	}
	if took < stallFor+stallLate {
		for by := range f.lost {
			f.falselyDead(by, p.name)
		}
	} else if len(f.lost) > 0 {
		fmt.Fprintf(f.progress, "%s is dead after a stall of %v\n", p.slot, took)
	}
	if len(f.lost) > 0 {
		return f.agree(ctx)
	}
	f.victim = nil
	return nil
}

func (f *fleet) falselyDead(by *process, name string) {
	text := fmt.Sprintf("%s says that %s is dead", by.slot, name)
	f.figures.falseDeaths = append(f.figures.falseDeaths, text)
	fmt.Fprintln(f.progress, text)
}

// kill kills a process, measures, and starts it again.
func (f *fleet) kill(ctx context.Context, victim *process) error {
	f.all = slices.DeleteFunc(f.all, func(p *process) bool { return p == victim })
	caller := f.all[0]
	if err := f.order(ctx, caller, order{Begin: true, Slot: victim.slot}); err != nil {
		return err
	}
	f.victim, f.lost = victim, map[*process]int64{}
	struck := time.Now().UnixNano()
	_ = victim.cmd.Process.Kill()
	f.ended += victim.last.Calls
	if err := f.order(ctx, caller, order{}); err != nil {
		return err
	}
	since := func(at int64) time.Duration { return time.Duration(at - struck) }
	f.figures.served = append(f.figures.served, since(f.served))
	if err := f.listen(ctx, agreeWithin, func() bool { return len(f.lost) == len(f.all) }); err != nil {
		return err
	}
	if len(f.lost) < len(f.all) {
		return fmt.Errorf("%d of %d do not know that %s is dead", len(f.all)-len(f.lost), len(f.all), victim.slot)
	}
	at := slices.Sorted(maps.Values(f.lost))
	f.figures.first, f.figures.all = append(f.figures.first, since(at[0])), append(f.figures.all, since(at[len(at)-1]))
	fmt.Fprintf(f.progress, "%s killed: known to the first after %v, to all after %v, served after %v\n", victim.slot,
		since(at[0]), since(at[len(at)-1]), since(f.served))
	_ = victim.cmd.Wait()
	if err := f.start(ctx, victim.slot); err != nil {
		return err
	}
	return f.agree(ctx)
}

// order gives a replica an order and waits until it is done.
func (f *fleet) order(ctx context.Context, p *process, o order) error {
	f.served = 0
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return err
	}
	if err := f.listen(ctx, 2*callWithin, func() bool { return f.served != 0 }); err != nil {
		return err
	}
	if f.served == 0 {
		return fmt.Errorf("%s does not answer", p.slot)
	}
	return nil
}

// totals returns the calls that were made and the processor time of the processes that live.
func (f *fleet) totals() (calls int64, cpu time.Duration, at time.Time) {
	calls = f.ended
	for _, p := range f.all {
		calls, cpu = calls+p.last.Calls, cpu+p.last.CPU
	}
	return calls, cpu, time.Now()
}

// end ends all processes.
func (f *fleet) end() {
	for _, p := range f.all {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}
