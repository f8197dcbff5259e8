package sessionproc

import (
	"context"
	"fmt"
)

// Reach is what came of a Broadcast.
type Reach struct {
	Delivered int // sessions whose mailbox has the message
	Full      int // sessions whose mailbox was full
}

// A broadcaster is a Caller that reaches all sessions of a kind, as *node.Node does.
type broadcaster interface {
	// Broadcast casts m to all sessions of its kind. Notice.Broadcast calls it.
	Broadcast(ctx context.Context, m Message) (Reach, error)
}

// Broadcast casts msg to every session of the notice's kind, on all nodes, in no
// order. It does not count as use of them. Each gets it once; one whose mailbox is
// full does not, and is not tried again; one that starts at that moment may not,
// and one that moves at that moment may miss it or get it twice. The error names the nodes that did not answer
// until ctx ended (*node.PartialError); without a deadline in ctx the node's
// CallTimeout holds. Nodes of another release that have sessions of the kind and no
// handler of the notice are named with ErrUnknownMethod, and the others' sessions get
// it; ErrUnknownKind or ErrUnknownMethod alone if no node knows it. ErrUnsupported if c
// cannot broadcast, as a node can.
func (n *Notice[Msg]) Broadcast(ctx context.Context, c Caller, msg Msg) (Reach, error) {
	b, ok := c.(broadcaster)
	if !ok {
		return Reach{}, &OpError{Op: "broadcast", Kind: n.token.Kind, Method: n.token.Name,
			Err: fmt.Errorf("%w: a %T cannot broadcast", ErrUnsupported, c)}
	}
	return b.Broadcast(ctx, &cast[Msg]{notice: n, msg: msg})
}
