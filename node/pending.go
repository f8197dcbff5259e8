package node

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// deliverPending is Deliver for what is not to wait where its session comes to wait for
// the handler that asks.
func (n *Node) deliverPending(ctx context.Context, id string, m sessionproc.Message) error {
	waiting, done, err := sessionproc.Pending(ctx, n.routes.Load().ring.Partition(id), id)
	if err != nil {
		return failed(m, id, err, false)
	}
	defer done()
	return orCycle(waiting, id, m, n.deliverSeen(waiting, id, m))
}

// orCycle is err, or why a wait was ended before.
func orCycle(waiting context.Context, id string, m sessionproc.Message, err error) error {
	if cycle := sessionproc.EndedByCycle(waiting, err); cycle != nil {
		return failed(m, id, cycle, sessionproc.MaybeExecuted(err))
	}
	return err
}

// routePending is route for a call, which a handler may make.
func (n *Node) routePending(
	ctx context.Context, id string, part int, m sessionproc.Message, done *TraceRequestDone,
) error {
	waiting, over, err := sessionproc.Pending(ctx, part, id)
	if err != nil {
		return failed(m, id, err, false)
	}
	defer over()
	return orCycle(waiting, id, m, n.route(waiting, id, part, m, done))
}

// deliverSeen is deliver, which a trace hears of.
func (n *Node) deliverSeen(ctx context.Context, id string, m sessionproc.Message) error {
	if n.trace.RequestDone != nil {
		return n.deliverTraced(ctx, id, m)
	}
	return n.deliver(ctx, id, m, nil)
}
