package node

import (
	"context"
	"sync"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// outgoing is a request with its encoded payload, pooled.
type outgoing struct {
	request transport.Request
	buf     []byte
	once    *engine.Once // the key; nil: it has none, or none yet
	auto    engine.Once  // the one that this node has made
	ticket  ticket       // its number
	room    [transport.MaxOnce]byte
}

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

// maxPooledPayload is the largest payload, in bytes, whose memory is kept.
const maxPooledPayload = 64 << 10

// pack encodes m once for all tries.
func (n *Node) pack(ctx context.Context, id string, m sessionproc.Message) (*outgoing, error) {
	chain, cycle := engine.CallChain(ctx, id)
	switch m.Op() {
	case engine.OpCast, engine.OpStarted, engine.OpTouch:
		chain = nil // nobody waits for another one's handler
	default:
		if cycle != nil {
			return nil, cycle
		}
	}
	out := outgoings.Get().(*outgoing)
	payload, raw, err := m.AppendPayload(out.buf[:0], n.maxMessage())
	if err != nil {
		return nil, err
	}
	out.buf = payload
	if err := n.table.Fits(len(payload)); err != nil {
		out.release()
		return nil, err
	}
	out.request = transport.Request{ID: id, Kind: m.Kind(), Method: m.Method(), Flags: uint32(m.Op()), Chain: chain,
		Payload: payload}
	if raw {
		out.request.Flags |= flagRaw
	}
	if chain != nil && engine.HoldsPlace(ctx) {
		out.request.Flags |= flagPlaced
	}
	if m.Op() == engine.OpCast {
		out.request.Flags |= castFlags(ctx, m, cycle)
	}
	out.request.Trace = n.carry(ctx, isOurs(m.Op()))
	out.once = engine.OnceOf(ctx, id, m)
	return out, nil
}

// castFlags says how a cast is to be taken. cycle: its session waits for the handler
// that makes it, so that it must not wait for that in turn.
func castFlags(ctx context.Context, m sessionproc.Message, cycle error) (flags uint32) {
	if _, quiet := m.(interface{ NoTouch() }); quiet {
		flags |= flagNoTouch
	}
	if _, hasty := m.(interface{ NoWait() }); hasty || cycle != nil {
		flags |= flagNoWait
	}
	if _, has := ctx.Deadline(); has {
		flags |= flagPatient
	}
	return flags
}

func (o *outgoing) release() {
	o.ticket.over()
	o.request, o.once = transport.Request{}, nil
	if cap(o.buf) <= maxPooledPayload {
		outgoings.Put(o)
	}
}

// send makes one exchange with a peer.
func (n *Node) send(ctx context.Context, peer *transport.Peer, m sessionproc.Message, r *transport.Request) error {
	if m.Op() == engine.OpCast {
		return peer.Cast(ctx, r)
	}
	reply, err := peer.Call(ctx, r)
	if err != nil {
		return err
	}
	defer reply.Release()
	if m.Op().Starts() {
		return nil
	}
	if err := m.ReadReply(reply.Payload, reply.Flags&flagRaw != 0); err != nil {
		return &replyError{err}
	}
	return nil
}

// replyError is a reply that does not decode here: the handler has run.
type replyError struct{ err error }

func (e *replyError) Error() string { return e.err.Error() }
