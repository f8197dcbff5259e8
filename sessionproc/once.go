package sessionproc

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// WithKey returns a ctx whose calls have an idempotency key: of several calls of one method of one
// session with the same key, from any nodes, the handler runs for the first. The others get its
// reply, or the error that it has returned. One that comes while the handler runs waits for it. So a
// call whose outcome is unknown (see MaybeExecuted) can be made again.
//
// The session keeps the replies to its last KindConfig.Dedup calls with keys, each for two minutes.
// They go along when it moves, when it is renewed and when it restarts with its last state. A
// restart with RestartFresh forgets them, and so do the end of the session, the loss of its node unless
// the kind has KindConfig.Replicas, and a move to a node whose release has no keys. Where two copies of
// a session meet that merge, the replies of both are kept. Of a reply of more than 1 KiB the session
// keeps only that there was one: the others get ErrReplied. A call with the same key and another
// request fails with ErrKeyReused.
//
// If the handler crashes, or returns because its caller's time is over, there is no reply to keep,
// and the next call with the key runs it again.
//
// In the handler of a call with a key, the calls that it makes with its ctx have keys of their own,
// made of this one. So if such a handler runs again, it gets the replies that it got before. This
// needs that it then makes the same calls of a method of a session in the same order.
//
// ReadOnly methods ignore the key, and so do casts and all other operations: Ensure, Terminate, Touch
// and Renew can be repeated as they are, and a repeated Start finds that the session exists. Kinds
// with a negative Dedup, and nodes of releases without keys, refuse the call with ErrUnsupported
// before it runs.
//
// The key is any text, of which the session keeps a hash. An empty key is none.
func WithKey(ctx context.Context, key string) context.Context {
	if key == "" {
		return core.WithOnce(ctx, nil, false)
	}
	return core.WithOnce(ctx, core.NewOnce(key), false)
}

// maxReply is the size, in bytes, of the largest reply that is kept for calls with its key.
const maxReply = core.MaxReply

// known answers a call with a key if the session has a reply for it, or if the call can be answered in
// no way. Otherwise the handler is to run.
func (m *call[Req, Rep]) known(h *core.Head, ctx *core.Ctx) bool {
	var err error
	if m.same, err = m.digest(h); err != nil {
		m.err = core.BadRequest(err)
	} else {
		r, known, err := h.Host.Engine.Replied(ctx, m.method.token.Name, m.same)
		switch {
		case err != nil:
			m.err = err
		case known:
			m.take(r)
		default:
			return false
		}
	}
	ctx.End(core.EndedCanceled)
	return true
}

// digest returns the digest of the request.
func (m *call[Req, Rep]) digest(h *core.Head) (uint64, error) {
	c := &m.method.req
	b, err := c.Packed(&m.sent, &m.req, h.Host.MaxMessage)
	return core.Digest(b, c.Raw), err
}

// take makes a reply from before the reply of m.
func (m *call[Req, Rep]) take(r core.Reply) {
	if m.err = r.Err; m.err == nil {
		m.err = m.ReadReply(r.Payload, r.Raw)
	}
}

// reply returns the reply of m for the session to keep.
func (m *call[Req, Rep]) reply() core.Reply {
	if m.err != nil {
		return core.Reply{Err: m.err}
	}
	c := &m.method.rep
	b, err := c.Packed(&m.got, &m.rep, maxReply)
	if err != nil { // it is too large, or does not encode
		return core.Reply{Err: ErrReplied}
	}
	return core.Reply{Payload: b, Raw: c.Raw}
}

// repliedBefore answers m with a reply from before the session was renewed, if it is known there.
func (m *call[Req, Rep]) repliedBefore(h *core.Head) bool {
	digest, err := m.digest(h)
	if err != nil {
		return false
	}
	r, known := h.Host.Engine.RepliedBefore(h, m.Once, m.method.token.Name, digest)
	if known {
		m.take(r)
	}
	return known
}
