package sessionproc

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A manyDeliverer is a Caller that delivers many messages with few requests, as *node.Node does.
type manyDeliverer interface {
	// DeliverMany is Deliver for all of them, concurrently, and sets each Err.
	DeliverMany(ctx context.Context, all []core.Delivery)
}

// StartMany starts a session with each of the arguments, by ID, as Start does:
// many with one request to each node that owns some. It returns when all have an
// outcome, and the errors of those that failed, by ID: nil if none did. Without a
// deadline in ctx the node's CallTimeout holds, for all of them together. In a kind
// with Replicas those whose node crashes are made again, as the start of one is.
func (k *KindRef[Arg]) StartMany(ctx context.Context, c Caller, args map[string]Arg) map[string]error {
	all := make([]core.Delivery, 0, len(args))
	for id, arg := range args {
		m := newStart(k)
		m.arg, m.what = arg, core.OpStart
		all = append(all, core.Delivery{ID: id, Message: m})
	}
	if m, ok := c.(manyDeliverer); ok {
		m.DeliverMany(ctx, all)
	} else {
		for i := range all {
			all[i].Err = c.Deliver(ctx, all[i].ID, all[i].Message)
		}
	}
	return core.Failures(all)
}
