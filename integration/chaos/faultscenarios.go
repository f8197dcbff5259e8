package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// The scenarios of faults. Sessions are ledgers in them, and nothing is durable:
// a session whose process was killed is lost, and started anew by who asks for it.
var faults = []scenario{
	{name: "crash", usual: 3, least: 2, first: asGiven, change: planned(crash(1)), faulty: true},
	{name: "crash2", usual: 5, least: 3, first: asGiven, change: planned(crash(2)), faulty: true},
	{name: "zone", usual: 6, least: 4, first: asGiven, change: planned(killZone), faulty: true, zones: 3},
	{name: "joiner", usual: 3, least: 2, first: asGiven, change: planned(joiner), faulty: true},
	{name: "target+owner", usual: 3, least: 3, first: asGiven, change: planned(targetThenOwner), faulty: true},
	{name: "stall", usual: 3, least: 2, first: asGiven, change: planned(stall), faulty: true},
	{name: "partition", usual: 5, least: 3, first: asGiven, change: planned(partition), faulty: true, wired: true},
	{name: "flap", usual: 3, least: 2, first: asGiven, change: planned(flap), faulty: true, wired: true},
	{name: "poison", usual: 4, least: 3, first: asGiven, change: planned(poisoned), faulty: true},
	{name: "renewkill", usual: 3, least: 2, first: asGiven, change: planned(renewKill), faulty: true},
	{name: "logoutkill", usual: 3, least: 2, first: asGiven, change: planned(logoutKill), faulty: true},
	{name: "mixed", usual: 4, least: 3, first: asGiven, change: planned(mixed), faulty: true},
}

// newest returns the n replicas that were started last.
func (f *fleet) newest(n int) []*process {
	staying := f.staying()
	return staying[len(staying)-n:]
}

// crash kills n nodes at once.
func crash(n int) func(context.Context, *fleet) error {
	return func(ctx context.Context, f *fleet) error {
		x := &fault{promised: true, half: n == 1, kept: f.standbys >= n}
		if err := f.crash(ctx, x, f.newest(n)); err != nil {
			return err
		}
		return f.takeOver(ctx, x)
	}
}

// takeOver waits until the sessions of the dead are where they belong.
func (f *fleet) takeOver(ctx context.Context, x *fault) error {
	if err := f.agree(ctx); err != nil {
		return err
	}
	return wait(ctx, time.Until(time.Unix(0, x.struck).Add(firstMax))) // takeover goes on
}

// killZone kills all nodes of one zone at once.
func killZone(ctx context.Context, f *fleet) error {
	victims := slices.DeleteFunc(f.staying(), func(p *process) bool { return p.zone != zone(0) })
	x := &fault{promised: true, kept: f.standbys >= 1}
	if err := f.crash(ctx, x, victims); err != nil {
		return err
	}
	return f.takeOver(ctx, x)
}

// joiner kills a node in its first second, while sessions move to it.
func joiner(ctx context.Context, f *fleet) error {
	if err := f.start(ctx, slot(f.nodes)); err != nil {
		return err
	}
	if err := wait(ctx, rand.N(time.Second)); err != nil {
		return err
	}
	x := &fault{moving: true, kept: f.standbys >= 1}
	if err := f.crash(ctx, x, f.newest(1)); err != nil {
		return err
	}
	return f.takeOver(ctx, x)
}

// targetThenOwner kills two nodes one soon after the other. What one of them stood by
// for the other, and no third node by then, is lost, and counted.
func targetThenOwner(ctx context.Context, f *fleet) error {
	const apart = 200 * time.Millisecond
	x := &fault{}
	x.apart = apart
	if err := f.crash(ctx, x, f.newest(2)); err != nil {
		return err
	}
	return f.takeOver(ctx, x)
}

// stall stops a node and continues it.
func stall(ctx context.Context, f *fleet) error {
	if err := f.halt(ctx, &fault{kept: f.standbys >= 1}, f.newest(1)[0], f.stall); err != nil {
		return err
	}
	return f.agree(ctx)
}

// partition cuts the newer nodes off, fewer than half.
func partition(ctx context.Context, f *fleet) error {
	victims := f.newest((f.nodes - 1) / 2)
	quorum := f.quorum > len(victims)
	x := &fault{split: true, quorum: quorum, kept: quorum && f.standbys >= len(victims), flight: detectTime}
	f.aim(x, victims)
	f.find(x, victims)
	var numbers []int
	for _, p := range victims {
		numbers = append(numbers, p.number)
	}
	f.say("cut")
	x.struck = time.Now().UnixNano()
	if err := f.wires.move(ctx, "far", numbers...); err != nil {
		return err
	}
	if err := wait(ctx, f.cut); err != nil {
		return err
	}
	if err := f.wires.move(ctx, "near", numbers...); err != nil {
		return err
	}
	x.mended = time.Now().UnixNano()
	return f.agree(ctx)
}

// flap takes a node's link down and up, for longer each time.
func flap(ctx context.Context, f *fleet) error {
	const up = 3 * time.Second
	victim := f.newest(1)[0]
	x := &fault{split: true}
	f.aim(x, []*process{victim})
	f.find(x, []*process{victim})
	x.struck = time.Now().UnixNano()
	for i, down := range []time.Duration{f.cut / 64, f.cut / 32, f.cut / 16, f.cut / 8, f.cut / 16, f.cut / 32,
		f.cut / 4} {
		if i > 0 {
			if err := wait(ctx, up); err != nil {
				return err
			}
		}
		f.say(fmt.Sprintf("link down for %.1f s", down.Seconds()))
		x.cuts = append(x.cuts, time.Now().UnixNano())
		if err := f.wires.set(ctx, victim.number, "down"); err != nil {
			return err
		}
		if err := wait(ctx, down); err != nil {
			return err
		}
		if err := f.wires.set(ctx, victim.number, "up"); err != nil {
			return err
		}
		f.say("link up")
	}
	x.mended = time.Now().UnixNano()
	x.flight = x.mended - x.struck // there was a cut all the time
	return f.agree(ctx)
}

// mixed kills a node while the others are restarted, one after another, and one
// is added.
func mixed(ctx context.Context, f *fleet) error {
	const into = time.Second // the first of them is about to leave
	victims := f.newest(1)
	others := slices.DeleteFunc(f.staying(), func(p *process) bool { return p == victims[0] })
	if err := together(
		func() error { return f.restartAll(ctx, others) },
		func() error { return f.start(ctx, slot(f.nodes)) },
		func() error {
			if err := wait(ctx, f.readyDelay+into); err != nil {
				return err
			}
			return f.crash(ctx, &fault{moving: true, kept: f.standbys >= 1}, victims)
		},
	); err != nil {
		return err
	}
	return f.agree(ctx)
}
