package sessionproc

import (
	"context"
)

// A start is a Message made by KindRef.Start and Ensure. Its kind keeps it in a pool.
type start[Arg any] struct {
	pooled
	ref  *KindRef[Arg]
	what Op
	arg  Arg
	sent parcel[Arg]
	into starter
	err  error // the start function's error
}

func newStart[Arg any](ref *KindRef[Arg]) *start[Arg] {
	m := &start[Arg]{ref: ref}
	m.op = m
	return m
}

// release returns m to the pool, unless another goroutine may still hold it.
func (m *start[Arg]) release() {
	if m.reusable() {
		m.err, m.ctx, m.next, m.into = nil, nil, nil, starter{}
		m.ref.arg.clear(&m.arg, &m.sent)
		m.ref.pool.Put(m)
	}
}

func (m *start[Arg]) Op() Op         { return m.what }
func (m *start[Arg]) Kind() string   { return m.ref.name }
func (m *start[Arg]) Method() string { return "" }

func (m *start[Arg]) AppendPayload(b []byte, most int) ([]byte, bool, error) {
	return m.ref.arg.encodeRequest(b, &m.arg, most)
}

// ReadReply is never called: a start has no reply.
func (m *start[Arg]) ReadReply([]byte, bool) error { return nil }

// Deliver starts a session on this node and waits for its start function.
func (m *start[Arg]) Deliver(ctx context.Context, on *Host, part int, id string) error {
	if !m.at(on) {
		return m.deliverAnew(ctx, on, part, id)
	}
	size, err := m.ref.arg.packRequest(&m.sent, &m.arg, false, on.MaxMessage)
	if err == nil {
		err = on.fits(int(size))
	}
	if err != nil {
		return m.failed(id, outcome{err: err})
	}
	m.into = starter{W: &m.waiting, Part: part, ID: id, Kind: m.ref.name, Ensure: m.what == OpEnsure}
	o, ok := on.Engine.ExchangeStart(ctx, &m.into)
	switch {
	case !ok:
		return m.failed(id, o)
	case m.err != nil:
		return m.failed(id, outcome{err: m.err, maybe: !isBadRequest(m.err)})
	}
	return nil
}

// deliverAnew delivers a fresh message in place of m, which belongs to another host; see pooled.
func (m *start[Arg]) deliverAnew(ctx context.Context, on *Host, part int, id string) error {
	fresh := newStart(m.ref)
	fresh.arg, fresh.what = m.arg, m.what
	err := fresh.Deliver(ctx, on, part, id)
	fresh.release()
	return err
}

func (m *start[Arg]) failed(id string, o outcome) error {
	return &OpError{Op: OpStart.String(), ID: id, Kind: m.ref.name, Err: o.err, MaybeExecuted: o.maybe}
}

// Run implements op. A start whose caller gave up before its turn came leaves no session.
func (m *start[Arg]) Run(h *Head, ctx *handlerCtx) error {
	if !m.begin() {
		h.Host.Engine.NotStarted(h)
		return noHandler{}
	}
	state, err := m.make(h, ctx)
	h.Host.Engine.Started(h, &m.waiting, state, err, &m.err)
	return err
}

// make runs the start function. A kind with RestartFresh also keeps the encoded argument, for the
// start functions to come.
func (m *start[Arg]) make(h *Head, ctx *handlerCtx) (any, error) {
	c := &m.ref.arg
	arg, err := c.unpack(&m.sent, &m.arg)
	if err != nil {
		return nil, badRequest(err)
	}
	if RestartPolicy(h.Kind.cfg.Restart) == RestartFresh {
		payload, err := c.encode(nil, arg, maxSnapshot)
		if err != nil {
			return nil, badRequest(err)
		}
		h.Host.Engine.KeepArgument(h, payload, c.raw)
	}
	if k, ok := h.Kind.maker.(interface {
		startWith(context.Context, Arg) (any, error)
	}); ok {
		return k.startWith(ctx, *arg)
	}
	payload, err := c.encode(nil, arg, h.Host.MaxMessage)
	if err != nil {
		return nil, badRequest(err)
	}
	return h.Kind.maker.StartEncoded(ctx, payload, c.raw, false)
}
