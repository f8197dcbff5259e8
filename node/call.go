package node

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Deliver takes a token's message to session id, wherever it lives. It
// implements sessionproc.Caller; use the methods of tokens instead.
func (n *Node) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	if n == nil {
		return engine.Failed(m, id, errNil, false)
	}
	if n.trace.RequestEnded != nil || n.trace.RequestBegun != nil {
		return n.deliverTraced(ctx, id, m)
	}
	return n.deliver(ctx, id, m)
}

// deliver implements Deliver without a trace.
func (n *Node) deliver(ctx context.Context, id string, m sessionproc.Message) error {
	part, over, err := n.deliverHere(ctx, id, m)
	if over {
		return err
	}
	return n.deliverAway(ctx, id, part, m, sessionproc.MaybeExecuted(err), nil)
}

// deliverHere delivers m if its session is this node's. over: that was all. Otherwise err, if there is one, says that
// the session has moved.
func (n *Node) deliverHere(ctx context.Context, id string, m sessionproc.Message) (part int, over bool, err error) {
	r := n.routes.Load()
	part = r.Ring.Partition(id)
	if owner := r.Owners[part]; owner != nil && owner.Remote == nil && !r.Closed && ctx.Err() == nil {
		err = n.table.Deliver(ctx, part, id, m) // it checks the IDs that it does not find
		over = err == nil || !isMoved(err)
	}
	return part, over, err
}

// deliverAway delivers m wherever its session is. See route for ran. If done is non-nil, it records there how m was
// routed.
func (n *Node) deliverAway(ctx context.Context, id string, part int, m sessionproc.Message, ran bool,
	done *TraceRequest) error {
	switch m.Op() {
	case engine.OpCall, engine.OpStart, engine.OpEnsure, engine.OpRenew, engine.OpSubscribe:
		return n.routePending(ctx, id, part, m, ran, done)
	}
	return n.route(ctx, id, part, m, ran, done)
}

// route sends m to the owner, after redirects and again after whatever surely
// did not run it, until ctx ends. ran says that it may have run here: a renewal that was begun goes on
// wherever the session does.
func (n *Node) route(ctx context.Context, id string, part int, m sessionproc.Message, ran bool,
	done *TraceRequest) error {
	if err := sessionproc.ValidID(id); err != nil {
		return engine.Failed(m, id, err, ran)
	}
	if _, err := n.present(); err != nil {
		return engine.Failed(m, id, err, ran)
	}
	if err := ctx.Err(); err != nil { // so that what can still be said to have not run is
		return engine.Failed(m, id, err, ran)
	}
	asked := ctx
	ctx, cancel := n.withTimeout(ctx, m)
	defer cancel()
	out, err := n.pack(asked, id, m)
	if err != nil {
		return engine.Failed(m, id, err, ran)
	}
	try := attempt{node: n, id: id, part: part, m: m, out: out, done: done, asked: asked, ran: ran}
	return try.deliver(ctx)
}

// withTimeout gives ctx the timeout of m if it has no deadline.
func (n *Node) withTimeout(ctx context.Context, m sessionproc.Message) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	timeout := n.cfg.CallTimeout
	if own := n.table.MethodConfig(m.Kind(), m.Method()).Timeout; own > 0 {
		timeout = own
	}
	return context.WithTimeout(ctx, timeout)
}

// deliverTraced is deliver for a trace.
func (n *Node) deliverTraced(ctx context.Context, id string, m sessionproc.Message) error {
	done := TraceRequest{Op: m.Op().String(), Kind: m.Kind(), Method: m.Method()}
	begun := time.Since(n.started) // it reads one clock, time.Now two
	if n.trace.RequestBegun != nil {
		ctx = n.trace.RequestBegun(ctx, done)
	}
	part, over, err := n.deliverHere(ctx, id, m)
	if !over {
		away := done // on the heap, which a request of this node is not
		err = n.deliverAway(ctx, id, part, m, sessionproc.MaybeExecuted(err), &away)
		done = away
	}
	if n.trace.RequestEnded == nil {
		return err
	}
	done.Duration = time.Since(n.started) - begun
	if err != nil {
		done.Err, done.MaybeExecuted = cause(err), sessionproc.MaybeExecuted(err)
	}
	n.trace.RequestEnded(ctx, done)
	return err
}

// routePending is route for what is not to wait where its session comes to wait for the
// handler that asks. A message that this node delivers itself sees to that by itself.
func (n *Node) routePending(
	ctx context.Context, id string, part int, m sessionproc.Message, ran bool, done *TraceRequest,
) error {
	waiting, over, err := engine.Pending(ctx, part, id)
	if err != nil {
		return engine.Failed(m, id, err, ran)
	}
	defer over()
	return orCycle(waiting, id, m, n.route(waiting, id, part, m, ran, done))
}

// orCycle returns err, or why a wait was ended before.
func orCycle(waiting context.Context, id string, m sessionproc.Message, err error) error {
	if cycle := engine.EndedByCycle(waiting, err); cycle != nil {
		return engine.Failed(m, id, cycle, sessionproc.MaybeExecuted(err))
	}
	return err
}
