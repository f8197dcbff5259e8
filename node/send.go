package node

import (
	"context"
	"sync"

	"github.com/sessionproc/sessionproc/node/internal/handover"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// Flags of a request and its reply. They are on the wire.
const (
	flagOp    = 0x0f // engine.Op
	flagRaw   = 0x10 // the payload is bytes, not msgpack
	flagWaits = 0x20 // it has been sent on before: do not send it on to where the session may be meanwhile

	flagNoTouch = 0x40  // a cast that does not count as use
	flagPatient = 0x80  // a cast that may wait for its place in the mailbox until its deadline, as its caller has set that
	flagNoWait  = 0x100 // a cast that may not wait for it at all
	flagPlaced  = 0x200 // a start function waits for it: see engine.HoldsPlace

	opQuery     = 13
	opHello     = 14 // in place of engine.Op
	opOwnership = handover.CastOp
)

// outgoing is a request with its encoded payload, pooled.
type outgoing struct {
	request transport.Request
	buf     []byte
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
	o.request = transport.Request{}
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
	if m.Op() == engine.OpStart || m.Op() == engine.OpEnsure {
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
