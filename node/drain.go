package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/handover"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

const (
	drainStep = 10 * time.Millisecond

	// newsTime is how long a node that drains waits to hear of one that stays,
	// while others drain too: they may have heard of it earlier. Gossip tells
	// everybody within about a second.
	newsTime = time.Second
)

// Drain has everything that lives here move to the other members: Ready becomes
// an error, the members are told, which takes less than 0.3 s with the Fast
// profile up to 20 of them, they take this node's partitions over, and its
// sessions move. Meanwhile, and afterwards, the node answers and forwards
// requests like before. There is no way back but a new Start.
//
// Tasks of sessions (sessionproc.Go) do not hold up their sessions. Drain waits for the work that runs here,
// and until the new nodes of the sessions have the results.
//
// Drain returns nil when nothing is left here and the members that stay know
// one another: Leave is then a matter of a second. Otherwise it returns when ctx
// ends, or after DrainTimeout if ctx has no deadline or has ended already, with
// a *DrainError that says what is left; the sessions go on moving all the same. If
// nobody else serves it returns that at once, unless nothing is here, and within a
// second or two if all that is left is what no other member can have: of a kind or schema
// that none has, or refused for good, as its state cannot be encoded or decoded or is
// larger than KindConfig.MaxState. A member that is full is asked again every few seconds, as soon as
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
	chain, _ := engine.CallChain(ctx, "")
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
	begins := n.draining.CompareAndSwap(false, true)
	if begins {
		n.drainBegun.Store(time.Now().UnixNano())
		n.log.Info("node drains", "sessions", n.table.Len())
		if n.trace.NodeChanged != nil {
			n.trace.NodeChanged(TraceNodeChanged{Change: "draining", Sessions: n.table.Len()})
		}
		n.noteTurn()
		n.driver.ForgetFinals() // they are tried once more
		// It looks for takers of what owners cannot have, and logs how the drain goes, until
		// nothing is left or the node stops.
		n.life.Go(n.reportUntilDrained)
		n.life.Go(n.findTakers)
	}
	if deadline, ok := ctx.Deadline(); ok {
		n.driver.DrainUntil(deadline)
	}
	if err := n.cluster.SetState(cluster.Draining); err != nil {
		return sessionproc.ErrClosed
	}
	n.reroute(n.cluster.View())
	if begins {
		n.tell(cluster.Draining)
	}
	err := n.awaitDrained(ctx, n.driver.Lateness(), hasty)
	if err == nil {
		n.noteDrained()
	}
	return err
}

// awaitDrained waits until the node has drained or ctx ends, or with hasty until late is
// certain. late may be nil.
func (n *Node) awaitDrained(ctx context.Context, late *handover.Lateness, hasty bool) error {
	for begun := time.Now(); ; {
		switch {
		case n.routes.Load().Closed:
			return sessionproc.ErrClosed
		case n.driver.MayLeave() && !n.tasksRun():
			return nil
		case !n.othersMayServe(time.Since(begun)):
			return n.left(errNobody)
		case time.Since(begun) >= newsTime && n.driver.NoTakers():
			return n.left(errNoTakers)
		case late != nil && late.Certain(ctx) && hasty:
			return n.tooLong(late.Takes())
		case !lifetime.Pause(ctx, drainStep):
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

// findTakers has sessions that their owners cannot have go to members that can.
func (n *Node) findTakers() {
	n.meet(n.life.Context()) // what they were given
	n.driver.FindTakers()
}

// assign makes known that a member is to own partitions for a while; of none it is the end of that.
func (n *Node) assign(to cluster.Member, parts []int) error {
	if err := n.cluster.SetAssigned(route.Assign(to, parts)); err != nil {
		return err
	}
	n.reroute(n.cluster.View())
	return nil
}

const reportInterval = time.Second

func (n *Node) reportUntilDrained() {
	told := map[string]bool{}
	n.meet(n.life.Context()) // what kinds they take
	for {
		for kind, sessions := range n.table.Kinds() {
			if !told[kind] && n.roster.NobodyTakes(kind, n.otherServers()) {
				told[kind] = true
				n.log.Error("no member can take the sessions of a kind", "kind", kind, "sessions", sessions, "why",
					n.driver.WhyNobody(kind))
			}
		}
		p := n.Progress()
		if p.Sessions == 0 {
			n.noteDrained()
			return
		}
		if !lifetime.Pause(n.life.Context(), reportInterval) {
			return
		}
		p = n.Progress()
		n.log.Info("node drains", "sessions", p.Sessions, "partitions", p.Partitions, "moved", p.Moved, "bytes", p.Bytes,
			"per_second", int(p.PerSecond), "left", p.Left.Round(time.Second))
	}
}
