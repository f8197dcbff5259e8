package node

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A lostAnswer is an error of a question whose node is lost before it has answered: it may have had its effect there.
type lostAnswer struct{ error }

func (e lostAnswer) Unwrap() error { return e.error }

// A batched is a message on its way in a batch. A start has the key that it would have alone: so either is made again,
// once and by itself, if its outcome is unknown (see repeat.go).
type batched struct {
	*engine.Delivery
	once   engine.Once
	ticket ticket
	first  int64 // since epoch: when the batch was sent
	keyed  bool
}

// addKey returns the key of the message for a member, on the wire; nil: it has none.
func (b *batched) addKey(n *Node, to *route.Peer) []byte {
	op := b.Message.Op()
	if op != engine.OpStart || !to.Standbys || !n.self.Standbys || !n.table.Repeats(op, b.Message.Kind(), "") {
		return nil
	}
	b.once.Key, b.once.Low = n.numbers.take(&b.ticket, b.ID)
	b.once.Root, b.keyed = b.once.Key, true
	return engine.AppendOnce(nil, &b.once, 0)
}

// repeats reports whether the message may be made again though it may have had its effect.
func (b *batched) repeats(n *Node) bool {
	return b.keyed || b.Message.Op() == engine.OpTerminate && n.self.Standbys
}

// send notes when the messages of a batch are sent.
func (b *batch) send() {
	now := engine.SinceEpoch(time.Now())
	for _, one := range b.of {
		one.first = now
	}
}

// over says that those of a batch which are not made again are not under way any more.
func (b *batch) over(again []*batched) {
	for i, one := range b.of {
		if len(again) > 0 && again[0] == one {
			again = again[1:]
			continue
		}
		b.of[i].ticket.over()
	}
}

// deliverAgain makes a message of a batch again, of which it is not known whether it has had its effect.
func (n *Node) deliverAgain(ctx context.Context, b *batched) {
	m := b.Message
	b.Err = engine.Failed(m, b.ID, errNoReturn, true) // unless it returns
	b.Err = n.makeAgain(ctx, b)
	b.ticket.over() // of one that was not made again
}

func (n *Node) makeAgain(ctx context.Context, b *batched) error {
	_, part, err := n.locate(b.ID)
	if err != nil {
		return engine.Failed(b.Message, b.ID, err, true)
	}
	out, err := n.pack(ctx, b.ID, b.Message)
	if err != nil {
		return engine.Failed(b.Message, b.ID, err, true)
	}
	try := attempt{node: n, id: b.ID, part: part, m: b.Message, out: out, asked: ctx, ran: true, repeated: true,
		first: b.first}
	if b.keyed {
		out.auto.Key, out.auto.Low, out.auto.Root = b.once.Key, b.once.Low, b.once.Root
		out.once = &out.auto
		b.ticket.moveTo(&out.ticket)
	}
	if !lifetime.Pause(ctx, try.backOff(sessionproc.ErrUnavailable)) {
		try.finish()
		return engine.Failed(b.Message, b.ID, ctx.Err(), true)
	}
	return try.deliver(ctx)
}
