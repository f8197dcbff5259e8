package node

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// orCycle returns err, or why a wait was ended before.
func orCycle(waiting context.Context, id string, m sessionproc.Message, err error) error {
	if cycle := engine.EndedByCycle(waiting, err); cycle != nil {
		return failed(m, id, cycle, sessionproc.MaybeExecuted(err))
	}
	return err
}

// routePending is route for what is not to wait where its session comes to wait for the
// handler that asks. A message that this node delivers itself sees to that by itself.
func (n *Node) routePending(
	ctx context.Context, id string, part int, m sessionproc.Message, done *TraceRequestDone,
) error {
	waiting, over, err := engine.Pending(ctx, part, id)
	if err != nil {
		return failed(m, id, err, false)
	}
	defer over()
	return orCycle(waiting, id, m, n.route(waiting, id, part, m, done))
}
