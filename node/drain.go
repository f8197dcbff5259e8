package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// draining is what a node that drains knows of the beginning.
type draining struct {
	begun time.Time
	moved int64 // sessions that had moved away before
}

const (
	drainStep = 10 * time.Millisecond

	// newsTime is how long a node that drains waits to hear of one that stays,
	// while others drain too: they may have heard of it earlier. Gossip tells
	// everybody within about a second.
	newsTime = time.Second
)

// Why a drain ends before its time.
var (
	errNobody   = errors.New("no other member serves")
	errNoTakers = errors.New("no member that stays can have them")
)

// Drain has everything that lives here move to the other members: Ready becomes
// an error, the members are told, which takes less than 0.3 s with the Fast
// profile up to 20 of them, they take this node's partitions over, and its
// sessions move. Meanwhile, and afterwards, the node answers and forwards
// requests like before. There is no way back but a new Start.
//
// Drain returns nil when nothing is left here and the members that stay know
// one another: Leave is then a matter of a second. Otherwise it returns when ctx
// ends, or after DrainTimeout if ctx has no deadline or has ended already, with
// a *DrainError that says what is left; the sessions go on moving all the same. If
// nobody else serves it returns that at once, unless nothing is here, and within a
// second or two if all that is left is what no other member can have: of a kind or schema
// that none has, or refused for good, as its state cannot be encoded or decoded or is
// larger than MaxState. A member that is full is asked again every few seconds, as soon as
// it has room. It may be called again, and concurrently: each call waits by its own ctx. With
// the ctx of a handler it is an ErrCallCycle, and nothing begins, as that handler's
// session has to move too: call it in a goroutine, with a ctx of its own. See Progress.
//
// A deadline that will not be met is no reason to wait for it: then Drain returns at once a
// *DrainError that is ErrDrainTooLong, and the log has an error. That is so from the
// beginning if no machine is fast enough, or not with HandoffBytesPerSecond; else when
// the sessions have moved for 5 seconds at less than half of the speed that is needed, and
// it would be too late even at the speed of the best second of the last 20. The latter is a
// forecast: a machine that is much too busy now may not be later. The sessions go on
// moving, as fast as they can, and may be gone in time after all: Drain may be called again.
//
// Of members of two releases those are asked that can have a session: one whose
// partition falls to a member that was not given its kind, or a notice that comes with it
// (of a timer, a watch or a queued cast), has a lower schema, or has refused it for good,
// goes to another that can have it, for as long as there is one. That takes members that
// can all be asked what they were given: while one is there of a release of this library
// that cannot say, sessions go only to the members that the ring says.
func (n *Node) Drain(ctx context.Context) error {
	if n == nil {
		return errNil
	}
	if err := n.waitedForBy(ctx); err != nil {
		return fmt.Errorf("node: drain: %w", err)
	}
	ctx, cancel := n.withDrainTimeout(ctx)
	defer cancel()
	if err := n.drain(ctx, true); err != nil {
		return fmt.Errorf("node: drain: %w", err)
	}
	return nil
}

// waitedForBy returns an ErrCallCycle if ctx is that of a handler of a session of this
// node, or of one that such a handler waits for: what waits for all handlers here cannot
// be waited for by one.
func (n *Node) waitedForBy(ctx context.Context) error {
	chain, _ := sessionproc.CallChain(ctx, "")
	r := n.routes.Load()
	for _, id := range chain {
		if n.table.Has(r.Ring.Partition(id), id) {
			return fmt.Errorf("%w: it waits until the handler of session %s has returned, which waits for it",
				sessionproc.ErrCallCycle, sessionproc.LogID(id))
		}
	}
	return nil
}

// withDrainTimeout is ctx, or DrainTimeout from now: see Drain.
func (n *Node) withDrainTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); !bounded || ctx.Err() != nil {
		return context.WithTimeout(context.WithoutCancel(ctx), n.cfg.DrainTimeout)
	}
	return context.WithCancel(ctx)
}

// drain begins to drain, unless that has been done, and waits: until ctx ends, or with
// hasty until it is certain that this is too early.
func (n *Node) drain(ctx context.Context, hasty bool) error {
	begins := n.draining.CompareAndSwap(nil, &draining{time.Now(), n.driver.traffic.moved()})
	if begins {
		n.log.Info("node drains", "sessions", n.table.Len())
		n.driver.forgetFinals() // they are tried once more
		n.driver.beginDrain()
	}
	if deadline, ok := ctx.Deadline(); ok {
		n.driver.drainUntil(deadline)
	}
	if err := n.cluster.SetState(cluster.Draining); err != nil {
		return sessionproc.ErrClosed
	}
	n.reroute(n.cluster.View())
	if begins {
		n.tell(cluster.Draining)
	}
	late := &lateness{n: n, hasty: hasty}
	return n.awaitDrained(ctx, late)
}

// awaitDrained waits until the node has drained or ctx ends, or, if it is to return then,
// until late is certain.
func (n *Node) awaitDrained(ctx context.Context, late *lateness) error {
	for begun := time.Now(); ; {
		switch {
		case n.routes.Load().Closed:
			return sessionproc.ErrClosed
		case n.driver.mayLeave():
			return nil
		case !n.othersMayServe(time.Since(begun)):
			return n.left(errNobody)
		case time.Since(begun) >= newsTime && n.driver.noTakers():
			return n.left(errNoTakers)
		case late != nil && late.certain(ctx) && late.hasty:
			return late.tooLong()
		case !pause(ctx, drainStep):
			return n.left(ctx.Err())
		}
	}
}

// otherServers are the other members that take sessions.
func (n *Node) otherServers() []cluster.Member {
	return n.routes.Load().OtherServers(n.self.Name())
}

// othersMayServe reports whether sessions have another place to go to, or can
// expect one: a node that joins will serve.
func (n *Node) othersMayServe(waited time.Duration) bool {
	others := false
	for _, m := range n.routes.Load().View.Members {
		switch {
		case m.Name() == n.self.Name():
		case m.State != cluster.Draining:
			return true
		default:
			others = true
		}
	}
	return others && waited < newsTime
}

func (d *driver) mayLeave() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.abandoned && d.n.table.Total() > 0 {
		return false
	}
	for i := range d.parts {
		d.countLocked(i)
	}
	return d.m.MayLeave()
}

// stuck returns how many sessions are sealed whose handler still runs.
func (d *driver) stuck() (n int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for i := range d.parts {
		for _, h := range d.parts[i].sealed {
			if h.state.Load() == isSealed {
				n++
			}
		}
	}
	return n
}

const reportInterval = time.Second

// beginDrain looks for takers of what owners cannot have, and logs how the drain goes,
// until nothing is left or the driver stops.
func (d *driver) beginDrain() {
	d.n.life.Go(d.reportUntilDrained)
	d.n.life.Go(d.findTakers)
}

func (d *driver) reportUntilDrained() {
	begun, told := time.Now(), map[string]bool{}
	d.meet(d.n.life.Context()) // what kinds they take
	for {
		for kind, sessions := range d.n.table.Kinds() {
			if !told[kind] && d.n.roster.NobodyTakes(kind, d.n.otherServers()) {
				told[kind] = true
				d.n.log.Error("no member can take the sessions of a kind", "kind", kind, "sessions", sessions, "why",
					d.whyNobody(kind))
			}
		}
		p := d.n.Progress()
		if p.Sessions == 0 {
			d.n.log.Info("node has drained", "moved", p.Moved, "bytes", p.Bytes, "after", time.Since(begun))
			return
		}
		if !pause(d.n.life.Context(), reportInterval) {
			return
		}
		p = d.n.Progress()
		d.n.log.Info("node drains", "sessions", p.Sessions, "partitions", p.Partitions, "moved", p.Moved, "bytes", p.Bytes,
			"per_second", int(p.PerSecond), "left", p.Left.Round(time.Second))
	}
}
