package sessionproc

import "context"

// Delivery is a Message for a session, and what came of it.
type Delivery struct {
	ID      string
	Message Message
	Err     error // of Deliver, nil before
}

// ManyDeliverer is a Caller that delivers many messages with few requests.
// *node.Node is one.
type ManyDeliverer interface {
	// DeliverMany is Deliver for all of them, concurrently, and sets each Err.
	DeliverMany(ctx context.Context, all []Delivery)
}

// StartMany starts a session with each of the arguments, by ID, as Start does:
// many with one request to each node that owns some. It returns when all have an
// outcome, and the errors of those that failed, by ID: nil if none did. Without a
// deadline in ctx the node's CallTimeout holds, for all of them together.
func (k *KindRef[Arg]) StartMany(ctx context.Context, c Caller, args map[string]Arg) map[string]error {
	all := make([]Delivery, 0, len(args))
	for id, arg := range args {
		m := newStart(k)
		m.arg, m.what = arg, OpStart
		all = append(all, Delivery{ID: id, Message: m})
	}
	return DeliverMany(ctx, c, all)
}

// DeliverMany gives all messages to their sessions and returns the errors by ID.
// It serves package node.
func DeliverMany(ctx context.Context, c Caller, all []Delivery) (failed map[string]error) {
	if m, ok := c.(ManyDeliverer); ok {
		m.DeliverMany(ctx, all)
	} else {
		for i := range all {
			all[i].Err = c.Deliver(ctx, all[i].ID, all[i].Message)
		}
	}
	for i := range all {
		if err := all[i].Err; err != nil {
			if failed == nil {
				failed = map[string]error{}
			}
			failed[all[i].ID] = err
		}
	}
	return failed
}
