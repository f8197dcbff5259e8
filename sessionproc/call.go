package sessionproc

import (
	"context"
	"fmt"
)

// A call is a Message made by Method.Call. Its method keeps it in a pool. The session's goroutine
// writes the reply into it; the word of the waiting decides whether the caller may read that. A
// call that was ended or abandoned while its handler ran is not pooled again, because the handler
// still writes to it.
type call[Req, Rep any] struct {
	pooled
	method *Method[Req, Rep]
	bound  *binding
	req    Req // the caller's own value, unchanged, for another attempt
	sent   parcel[Req]
	rep    Rep
	got    parcel[Rep]
	err    error // the handler's error
}

func newCall[Req, Rep any](method *Method[Req, Rep]) *call[Req, Rep] {
	m := &call[Req, Rep]{method: method}
	m.op = m
	return m
}

// release returns m to the pool, unless another goroutine may still hold it.
func (m *call[Req, Rep]) release() {
	if m.reusable() {
		m.clear()
		m.method.pool.Put(m)
	}
}

func (m *call[Req, Rep]) Op() Op         { return OpCall }
func (m *call[Req, Rep]) Kind() string   { return m.method.token.kind }
func (m *call[Req, Rep]) Method() string { return m.method.token.name }

func (m *call[Req, Rep]) AppendPayload(b []byte, most int) ([]byte, bool, error) {
	return m.method.req.encodeRequest(b, &m.req, most)
}

func (m *call[Req, Rep]) ReadReply(payload []byte, raw bool) error {
	if err := m.method.rep.decode(payload, raw, &m.rep); err != nil {
		return badReply(err)
	}
	return nil
}

// clear removes from m what belongs to its exchange, so that the pool keeps no memory of users.
func (m *call[Req, Rep]) clear() {
	m.err, m.ctx, m.next = nil, nil, nil
	m.method.req.clear(&m.req, &m.sent)
	m.method.rep.clear(&m.rep, &m.got)
}

// Deliver runs the call on a session of this node. The request is packed in the caller's
// goroutine and unpacked in the session's, and the reply the other way round, so that the two
// share no memory. The parts that may fail before the message is in a mailbox come first: their
// outcome has maybe false.
func (m *call[Req, Rep]) Deliver(ctx context.Context, on *Host, part int, id string) error {
	if !m.at(on) {
		return m.deliverAnew(ctx, on, part, id)
	}
	h, b, err := on.Engine.Resolve(ctx, part, id, &m.method.token, OpCall)
	if err != nil {
		return m.failed(id, outcome{err: err})
	}
	if err := m.prepare(b, on.MaxMessage); err != nil {
		return m.failed(id, outcome{err: err})
	}
	if err := on.fits(int(m.size)); err != nil {
		return m.failed(id, outcome{err: err})
	}
	o, ok := on.Engine.Exchange(ctx, h, b, &m.waiting)
	switch {
	case !ok:
		return m.failed(id, o)
	case m.err != nil:
		return m.failed(id, outcome{err: m.err, maybe: !isBadRequest(m.err)})
	}
	if m.got.form == parcelEmpty {
		return nil
	}
	rep, err := m.method.rep.unpack(&m.got, &m.rep)
	if err != nil {
		return m.failed(id, outcome{err: badReply(err), maybe: true})
	}
	m.rep = *rep
	return nil
}

// deliverAnew delivers a fresh message in place of m, which belongs to another host; see pooled.
func (m *call[Req, Rep]) deliverAnew(ctx context.Context, on *Host, part int, id string) error {
	fresh := newCall(m.method)
	fresh.req = m.req
	err := fresh.Deliver(ctx, on, part, id)
	if err == nil {
		m.rep = fresh.rep
	}
	fresh.release()
	return err
}

// prepare packs the request for the session's goroutine.
func (m *call[Req, Rep]) prepare(b *binding, most int) error {
	m.bound = b
	c := &m.method.req
	if c.simple {
		m.size = mailSize(c.size)
		return nil
	}
	size, err := c.packRequest(&m.sent, &m.req, b.cfg.ShareRequest, most)
	m.size = size
	return err
}

// Run implements op. The order at its end matters. The handler's ctx ends first, so that
// goroutines which the handler left behind see that it has returned. The reply is packed before
// finish, which hands m to the caller. After finish m may be in use again and must not be
// touched.
func (m *call[Req, Rep]) Run(h *Head, ctx *handlerCtx) error {
	if !m.begin() {
		return noHandler{}
	}
	if c := &m.method.req; c.simple {
		m.err = m.handle(h, ctx, &m.req)
	} else if req, err := c.unpack(&m.sent, &m.req); err == nil {
		m.err = m.handle(h, ctx, req)
	} else {
		m.err = badRequest(err)
	}
	ctx.end(endedCanceled)
	if c := &m.method.rep; m.err == nil && !c.simple {
		most := h.Host.MaxMessage
		size, err := c.pack(&m.got, &m.rep, false, most)
		if err == nil && int(size) > most {
			err = tooLarge(int(size), most)
		}
		if err != nil {
			m.err = badReply(err)
		}
	}
	err := m.err
	m.finish()
	return err
}

// handle calls the handler. The token of the caller and the kind's binding have equal types if
// both are of one program, which is nearly always so. Then there is no encoding.
func (m *call[Req, Rep]) handle(h *Head, ctx *handlerCtx, req *Req) error {
	if fn, ok := m.bound.typed.(func(any, context.Context, *Req, *Rep) error); ok {
		if err := fn(h.State, ctx, req, &m.rep); err != nil {
			return portable(ctx, err)
		}
		return nil
	}
	return m.handleCoded(h, ctx, req)
}

// handleCoded serves a token that has the name of the method and other types. It encodes the
// request and the reply, as if the call came from another node.
func (m *call[Req, Rep]) handleCoded(h *Head, ctx *handlerCtx, req *Req) error {
	payload, err := m.method.req.encode(nil, req, h.Host.MaxMessage)
	if err != nil {
		return badRequest(err)
	}
	reply, raw, err := m.bound.serve(h.State, ctx, payload, m.method.req.raw, nil)
	if err != nil {
		return err
	}
	return m.ReadReply(reply, raw)
}

// Handles implements named.
func (m *call[Req, Rep]) Handles(uint64) string { return m.method.token.name }

func (m *call[Req, Rep]) failed(id string, o outcome) error {
	return &OpError{Op: OpCall.String(), ID: id, Kind: m.method.token.kind, Method: m.method.token.name, Err: o.err,
		MaybeExecuted: o.maybe}
}

// A cast is a Message made by Notice.Cast. It is not pooled, since its sender does not wait for
// the handler and so cannot know when the session is done with it.
type cast[Msg any] struct {
	envelope
	notice *Notice[Msg]
	bound  *binding
	msg    Msg
	sent   *parcel[Msg] // nil if msg itself is sent
}

func (m *cast[Msg]) Op() Op         { return OpCast }
func (m *cast[Msg]) Kind() string   { return m.notice.token.kind }
func (m *cast[Msg]) Method() string { return m.notice.token.name }

func (m *cast[Msg]) AppendPayload(b []byte, most int) ([]byte, bool, error) {
	return m.notice.msg.encodeRequest(b, &m.msg, most)
}

// ReadReply is never called: casts have no reply.
func (m *cast[Msg]) ReadReply([]byte, bool) error { return nil }

// Deliver puts the cast into the mailbox of a session of this node.
func (m *cast[Msg]) Deliver(ctx context.Context, on *Host, part int, id string) error {
	h, b, err := on.Engine.Resolve(context.Background(), part, id, &m.notice.token, OpCast)
	if err == nil {
		err = m.push(ctx, h, b)
	}
	if err != nil {
		return &OpError{Op: OpCast.String(), ID: id, Kind: m.notice.token.kind, Method: m.notice.token.name, Err: err}
	}
	return nil
}

// push packs the message and puts it into the session's mailbox.
func (m *cast[Msg]) push(ctx context.Context, h *Head, b *binding) (err error) {
	m.op, m.bound, m.noTouch, m.noWait, m.readOnly = m, b, m.noTouch || b.cfg.NoTouch, b.cfg.NoWait, b.cfg.ReadOnly
	c := &m.notice.msg
	if c.asIs(b.cfg.ShareRequest) {
		c.normalize(&m.msg)
		m.size = mailSize(c.weight(&m.msg))
	} else {
		m.sent = new(parcel[Msg])
		if m.size, err = c.packRequest(m.sent, &m.msg, false, h.Host.MaxMessage); err != nil {
			return err
		}
	}
	if err := h.Host.fits(int(m.size)); err != nil {
		return err
	}
	return h.Host.Engine.PushCast(ctx, h, &m.envelope)
}

// Run implements op. The error of a handler has no caller to go to, so it is logged.
func (m *cast[Msg]) Run(h *Head, ctx *handlerCtx) error {
	err := m.handle(h, ctx)
	if err != nil {
		h.Host.Engine.Logger(h).Warn("a cast failed", "method", m.notice.token.name, "err", err)
	}
	return err
}

func (m *cast[Msg]) handle(h *Head, ctx *handlerCtx) error {
	msg, err := m.message()
	if err != nil {
		return badRequest(err)
	}
	if fn, ok := m.bound.typed.(func(any, context.Context, Msg) error); ok {
		return fn(h.State, ctx, *msg)
	}
	payload, err := m.notice.msg.encode(nil, msg, h.Host.MaxMessage)
	if err != nil {
		return fmt.Errorf("a token of the same name with another type: %w", err)
	}
	_, _, err = m.bound.serve(h.State, ctx, payload, m.notice.msg.raw, nil)
	return err
}

// message returns what was sent.
func (m *cast[Msg]) message() (*Msg, error) {
	if m.sent == nil {
		return &m.msg, nil
	}
	return m.notice.msg.unpack(m.sent, &m.msg)
}

// Drop implements op. A cast has no caller to answer.
func (m *cast[Msg]) Drop(uint64, outcome) {}

// Handles implements named.
func (m *cast[Msg]) Handles(uint64) string { return m.notice.token.name }

// Save implements carried.
func (m *cast[Msg]) Save() (savedCast, error) {
	msg, err := m.message()
	if err != nil {
		return savedCast{}, err
	}
	payload, err := m.notice.msg.encode(nil, msg, maxSnapshot)
	return savedCast{Method: m.notice.token.name, Raw: m.notice.msg.raw, NoTouch: m.noTouch, Payload: payload}, err
}
