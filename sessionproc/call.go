package sessionproc

import (
	"context"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A call is a Message made by Method.Call. Its method keeps it in a pool. The session's goroutine
// writes the reply into it; the word of the waiting decides whether the caller may read that. A
// call that was ended or abandoned while its handler ran is not pooled again, because the handler
// still writes to it.
type call[Req, Rep any] struct {
	core.Pooled
	method *Method[Req, Rep]
	bound  *core.Binding
	req    Req // the caller's own value, unchanged, for another attempt
	sent   core.Parcel[Req]
	rep    Rep
	got    core.Parcel[Rep]
	err    error  // the handler's error
	same   uint64 // of a call with a key: the digest of the request
}

func newCall[Req, Rep any](method *Method[Req, Rep]) *call[Req, Rep] {
	m := &call[Req, Rep]{method: method}
	m.Task = m
	return m
}

// release returns m to the pool, unless another goroutine may still hold it.
func (m *call[Req, Rep]) release() {
	if m.Reusable() {
		m.clear()
		m.method.pool.Put(m)
	}
}

func (m *call[Req, Rep]) Op() core.Op    { return core.OpCall }
func (m *call[Req, Rep]) Kind() string   { return m.method.token.Kind }
func (m *call[Req, Rep]) Method() string { return m.method.token.Name }

func (m *call[Req, Rep]) AppendPayload(b []byte, most int) ([]byte, bool, error) {
	return m.method.req.EncodeRequest(b, &m.req, most)
}

func (m *call[Req, Rep]) ReadReply(payload []byte, raw bool) error {
	if err := m.method.rep.Decode(payload, raw, &m.rep); err != nil {
		return core.BadReply(err)
	}
	return nil
}

// clear removes from m what belongs to its exchange, so that the pool keeps no memory of users.
func (m *call[Req, Rep]) clear() {
	m.err, m.Ctx, m.Next, m.Once = nil, nil, nil, nil
	m.method.req.Clear(&m.req, &m.sent)
	m.method.rep.Clear(&m.rep, &m.got)
}

// Deliver runs the call on a session of this node. The request is packed in the caller's
// goroutine and unpacked in the session's, and the reply the other way round, so that the two
// share no memory. The parts that may fail before the message is in a mailbox come first: their
// outcome has maybe false.
func (m *call[Req, Rep]) Deliver(ctx context.Context, on *core.Host, part int, id string) error {
	if !m.Serves(on) {
		return m.deliverAnew(ctx, on, part, id)
	}
	h, b, err := on.Engine.Resolve(ctx, part, id, &m.method.token, core.OpCall)
	if err != nil {
		return m.failed(id, core.Outcome{Err: err})
	}
	if err := m.prepare(b, on.MaxMessage); err != nil {
		return m.failed(id, core.Outcome{Err: err})
	}
	if err := on.Fits(int(m.Size)); err != nil {
		return m.failed(id, core.Outcome{Err: err})
	}
	o, ok := on.Engine.Exchange(ctx, h, b, &m.Waiting)
	switch {
	case !ok && (m.Once == nil || o.Err != ErrRenewed || !m.repliedBefore(h)):
		return m.failed(id, o)
	case m.err != nil:
		return m.failed(id, core.Outcome{Err: m.err, Maybe: !core.NotRun(m.err)})
	}
	if m.got.Form == core.ParcelEmpty {
		return nil
	}
	rep, err := m.method.rep.Unpack(&m.got, &m.rep)
	if err != nil {
		return m.failed(id, core.Outcome{Err: core.BadReply(err), Maybe: true})
	}
	m.rep = *rep
	return nil
}

// deliverAnew delivers a fresh message in place of m, which belongs to another host; see pooled.
func (m *call[Req, Rep]) deliverAnew(ctx context.Context, on *core.Host, part int, id string) error {
	fresh := newCall(m.method)
	fresh.req, fresh.Once = m.req, m.Once
	err := fresh.Deliver(ctx, on, part, id)
	if err == nil {
		m.rep = fresh.rep
	}
	m.Once = fresh.Once
	fresh.release()
	return err
}

// prepare packs the request for the session's goroutine.
func (m *call[Req, Rep]) prepare(b *core.Binding, most int) error {
	m.bound = b
	c := &m.method.req
	if c.Simple {
		m.Size = core.MailSize(c.Size)
		return nil
	}
	size, err := c.PackRequest(&m.sent, &m.req, b.Settings.ShareRequest, most)
	m.Size = size
	return err
}

// Run implements core.Task. The order at its end matters. The handler's ctx ends first, so that
// goroutines which the handler left behind see that it has returned. The reply is packed before
// finish, which hands m to the caller. After finish m may be in use again and must not be
// touched.
func (m *call[Req, Rep]) Run(h *core.Head, ctx *core.Ctx) error {
	if !m.Claim() {
		return core.NoHandler{}
	}
	keyed := ctx.Once() != nil
	if keyed && m.known(h, ctx) {
		err := m.err
		m.answer(h, m.Size)
		return err
	}
	if c := &m.method.req; c.Simple {
		m.err = m.handle(h, ctx, &m.req)
	} else if req, err := c.Unpack(&m.sent, &m.req); err == nil {
		m.err = m.handle(h, ctx, req)
	} else {
		m.err = core.BadRequest(err)
	}
	ctx.End(core.EndedCanceled)
	size := m.Size
	if c := &m.method.rep; m.err == nil && !c.Simple {
		most := h.Host.MaxMessage
		n, err := c.Pack(&m.got, &m.rep, false, most)
		size += n
		if err == nil && int(n) > most {
			err = core.TooLarge(int(n), most)
		}
		if err != nil {
			m.err = core.BadReply(err)
		}
	}
	if keyed {
		h.Host.Engine.KeepReply(ctx, m.method.token.Name, m.same, m.reply())
	}
	err := m.err
	m.answer(h, size)
	return err
}

// answer gives the answer to the caller, or has it wait until what it tells is durable.
func (m *call[Req, Rep]) answer(h *core.Head, size int32) {
	if h.Kind.Kept {
		h.Host.Engine.Answer(h, m.bound, m, size)
	} else {
		m.Finish()
	}
}

// handle calls the handler. The token of the caller and the kind's binding have equal types if
// both are of one program, which is nearly always so. Then there is no encoding.
func (m *call[Req, Rep]) handle(h *core.Head, ctx *core.Ctx, req *Req) error {
	if fn, ok := m.bound.Typed.(func(any, context.Context, *Req, *Rep) error); ok {
		if err := fn(h.State, ctx, req, &m.rep); err != nil {
			return portable(ctx, err)
		}
		return nil
	}
	return m.handleCoded(h, ctx, req)
}

// handleCoded serves a token that has the name of the method and other types. It encodes the
// request and the reply, as if the call came from another node.
func (m *call[Req, Rep]) handleCoded(h *core.Head, ctx *core.Ctx, req *Req) error {
	payload, err := m.method.req.Encode(nil, req, h.Host.MaxMessage)
	if err != nil {
		return core.BadRequest(err)
	}
	reply, raw, err := m.bound.Serve(h.State, ctx, payload, m.method.req.Raw, nil)
	if err != nil {
		return err
	}
	return m.ReadReply(reply, raw)
}

// Bound returns the handler.
func (m *call[Req, Rep]) Bound() *core.Binding { return m.bound }

// Handles implements named.
func (m *call[Req, Rep]) Handles(uint64) string { return m.method.token.Name }

func (m *call[Req, Rep]) failed(id string, o core.Outcome) error {
	return &OpError{Op: core.OpCall.String(), ID: id, Kind: m.method.token.Kind, Method: m.method.token.Name, Err: o.Err,
		MaybeExecuted: o.Maybe}
}

// A cast is a Message made by Notice.Cast. It is not pooled, since its sender does not wait for
// the handler and so cannot know when the session is done with it.
type cast[Msg any] struct {
	core.Envelope
	notice *Notice[Msg]
	bound  *core.Binding
	msg    Msg
	sent   *core.Parcel[Msg] // nil if msg itself is sent
}

func (m *cast[Msg]) Op() core.Op    { return core.OpCast }
func (m *cast[Msg]) Kind() string   { return m.notice.token.Kind }
func (m *cast[Msg]) Method() string { return m.notice.token.Name }

func (m *cast[Msg]) AppendPayload(b []byte, most int) ([]byte, bool, error) {
	return m.notice.msg.EncodeRequest(b, &m.msg, most)
}

// ReadReply is never called: casts have no reply.
func (m *cast[Msg]) ReadReply([]byte, bool) error { return nil }

// Deliver puts the cast into the mailbox of a session of this node.
func (m *cast[Msg]) Deliver(ctx context.Context, on *core.Host, part int, id string) error {
	h, b, err := on.Engine.Resolve(ctx, part, id, &m.notice.token, core.OpCast)
	if err == nil {
		err = m.push(ctx, h, b)
	}
	if err != nil {
		return &OpError{Op: core.OpCast.String(), ID: id, Kind: m.notice.token.Kind, Method: m.notice.token.Name, Err: err}
	}
	return nil
}

// push packs the message and puts it into the session's mailbox.
func (m *cast[Msg]) push(ctx context.Context, h *core.Head, b *core.Binding) (err error) {
	m.Task, m.bound, m.NoUse, m.AtOnce, m.ReadOnly = m, b, m.NoUse ||
		b.Settings.NoTouch, b.Settings.NoWait, b.Settings.ReadOnly
	c := &m.notice.msg
	if c.AsIs(b.Settings.ShareRequest) {
		c.Normalize(&m.msg)
		m.Size = core.MailSize(c.Weight(&m.msg))
	} else {
		m.sent = new(core.Parcel[Msg])
		if m.Size, err = c.PackRequest(m.sent, &m.msg, false, h.Host.MaxMessage); err != nil {
			return err
		}
	}
	if err := h.Host.Fits(int(m.Size)); err != nil {
		return err
	}
	return h.Host.Engine.PushCast(ctx, h, &m.Envelope)
}

// Run implements core.Task. The error of a handler has no caller to go to, so it is logged.
func (m *cast[Msg]) Run(h *core.Head, ctx *core.Ctx) error {
	err := m.handle(h, ctx)
	if err != nil {
		h.Host.Engine.Logger(h).Warn("a cast failed", "method", m.notice.token.Name, "err", err)
	}
	return err
}

func (m *cast[Msg]) handle(h *core.Head, ctx *core.Ctx) error {
	msg, err := m.message()
	if err != nil {
		return core.BadRequest(err)
	}
	if fn, ok := m.bound.Typed.(func(any, context.Context, Msg) error); ok {
		return fn(h.State, ctx, *msg)
	}
	payload, err := m.notice.msg.Encode(nil, msg, h.Host.MaxMessage)
	if err != nil {
		return fmt.Errorf("a token of the same name with another type: %w", err)
	}
	_, _, err = m.bound.Serve(h.State, ctx, payload, m.notice.msg.Raw, nil)
	return err
}

// message returns what was sent.
func (m *cast[Msg]) message() (*Msg, error) {
	if m.sent == nil {
		return &m.msg, nil
	}
	return m.notice.msg.Unpack(m.sent, &m.msg)
}

// Drop implements core.Task. A cast has no caller to answer.
func (m *cast[Msg]) Drop(uint64, core.Outcome) {}

// Bound returns the handler.
func (m *cast[Msg]) Bound() *core.Binding { return m.bound }

// Handles implements named.
func (m *cast[Msg]) Handles(uint64) string { return m.notice.token.Name }

// Save implements carried.
func (m *cast[Msg]) Save() (core.SavedCast, error) {
	msg, err := m.message()
	if err != nil {
		return core.SavedCast{}, err
	}
	payload, err := m.notice.msg.Encode(nil, msg, core.MaxSnapshot)
	return core.SavedCast{Method: m.notice.token.Name, Raw: m.notice.msg.Raw, NoTouch: m.NoUse, Payload: payload,
		Trace: m.Carried()}, err
}
