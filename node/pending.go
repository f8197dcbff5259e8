package node

import (
	"context"
	"errors"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// deliverPending is Deliver for what is not to wait where its session comes to wait for
// the handler that asks.
func (n *Node) deliverPending(ctx context.Context, id string, m sessionproc.Message) error {
	waiting, done, err := sessionproc.Pending(ctx, id)
	if err != nil {
		return failed(m, id, err, false)
	}
	defer done()
	err = n.deliverSeen(waiting, id, m)
	if cycle := context.Cause(waiting); err != nil && errors.Is(cycle, sessionproc.ErrCallCycle) {
		return failed(m, id, cycle, sessionproc.MaybeExecuted(err))
	}
	return err
}

// deliverSeen is deliver, which a trace hears of.
func (n *Node) deliverSeen(ctx context.Context, id string, m sessionproc.Message) error {
	if n.trace.RequestDone != nil {
		return n.deliverTraced(ctx, id, m)
	}
	return n.deliver(ctx, id, m, nil)
}
