package sessionproc

import (
	"context"
	"fmt"
)

// call is a Message made by Method.Call. It is pooled by its method; the
// session writes the reply into it.
type call[Req, Rep any] struct {
	pooled
	method *Method[Req, Rep]
	bound  *binding
	req    Req // the caller's own, kept as it is for another try
	sent   parcel[Req]
	rep    Rep
	got    parcel[Rep]
	err    error // the handler's
}

func newCall[Req, Rep any](method *Method[Req, Rep]) *call[Req, Rep] {
	m := &call[Req, Rep]{method: method}
	m.op = m
	return m
}

// release gives m to the pool, unless somebody may still hold it.
func (m *call[Req, Rep]) release() {
	if m.reusable() {
		m.clear()
		m.method.pool.Put(m)
	}
}

func (m *call[Req, Rep]) Op() Op         { return OpCall }
func (m *call[Req, Rep]) Kind() string   { return m.method.kind }
func (m *call[Req, Rep]) Method() string { return m.method.name }

func (m *call[Req, Rep]) AppendPayload(b []byte, most int) ([]byte, bool, error) {
	return m.method.req.encodeRequest(b, &m.req, most)
}

func (m *call[Req, Rep]) ReadReply(payload []byte, raw bool) error {
	if err := m.method.rep.decode(payload, raw, &m.rep); err != nil {
		return badReply{err}
	}
	return nil
}

// clear makes m forget its exchange, for the pool.
func (m *call[Req, Rep]) clear() {
	m.err, m.ctx, m.next = nil, nil, nil
	m.method.req.clear(&m.req, &m.sent)
	m.method.rep.clear(&m.rep, &m.got)
}

func (m *call[Req, Rep]) deliver(ctx context.Context, t *Table, part int, id string) error {
	if !m.at(t) {
		return m.deliverAnew(ctx, t, part, id)
	}
	p, b, err := t.resolve(ctx, part, id, &m.method.token, OpCall)
	if err != nil {
		return m.failed(id, outcome{err: err})
	}
	if err := m.prepare(b, t.cfg.MaxMessage); err != nil {
		return m.failed(id, outcome{err: err})
	}
	if err := t.Fits(int(m.size)); err != nil {
		return m.failed(id, outcome{err: err})
	}
	o, ok := t.exchange(ctx, p, b, &m.waiting)
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
		return m.failed(id, outcome{err: badReply{err}, maybe: true})
	}
	m.rep = *rep
	return nil
}

// deliverAnew serves a table that m cannot serve.
func (m *call[Req, Rep]) deliverAnew(ctx context.Context, t *Table, part int, id string) error {
	fresh := newCall(m.method)
	fresh.req = m.req
	err := fresh.deliver(ctx, t, part, id)
	if err == nil {
		m.rep = fresh.rep
	}
	fresh.release()
	return err
}

// prepare makes the request fit for the session's goroutine.
func (m *call[Req, Rep]) prepare(b *binding, most int) error {
	m.bound = b
	size, err := m.method.req.packRequest(&m.sent, &m.req, b.cfg.ShareRequest, most)
	m.size = size
	return err
}

// run implements op.
func (m *call[Req, Rep]) run(p *process) error {
	if !m.begin() {
		return noHandler{}
	}
	h := m.ctx
	if req, err := m.method.req.unpack(&m.sent, &m.req); err == nil {
		m.err = m.handle(p, h, req)
	} else {
		m.err = badRequest{err}
	}
	h.end(endedCanceled)
	if c := &m.method.rep; m.err == nil && !c.simple() {
		most := p.table.cfg.MaxMessage
		size, err := c.pack(&m.got, &m.rep, false, most)
		if err == nil && int(size) > most {
			err = p.table.tooLarge(int(size))
		}
		if err != nil {
			m.err = badReply{err}
		}
	}
	err := m.err
	m.finish() // m may be in use again when it returns
	return err
}

func (m *call[Req, Rep]) handle(p *process, h *handlerCtx, req *Req) error {
	if fn, ok := m.bound.typed.(func(any, context.Context, *Req, *Rep) error); ok {
		if err := fn(p.state, h, req, &m.rep); err != nil {
			return portable(h, err)
		}
		return nil
	}
	return m.handleCoded(p, h, req)
}

// handleCoded serves a token of the same name with other types, as if the call
// came from another node.
func (m *call[Req, Rep]) handleCoded(p *process, h *handlerCtx, req *Req) error {
	payload, err := m.method.req.encode(nil, req, p.table.cfg.MaxMessage)
	if err != nil {
		return badRequest{err}
	}
	reply, raw, err := m.bound.serve(p.state, h, payload, m.method.req.raw, nil)
	if err != nil {
		return err
	}
	return m.ReadReply(reply, raw)
}

func (m *call[Req, Rep]) failed(id string, o outcome) error {
	return &OpError{Op: OpCall.String(), ID: id, Kind: m.method.kind, Method: m.method.name, Err: o.err, MaybeExecuted: o.maybe}
}

func isBadRequest(err error) bool {
	_, ok := err.(badRequest)
	return ok
}

// exchange puts w into the mailbox of p and waits for its outcome. ok means
// that the handler's result is in the message.
func (t *Table) exchange(ctx context.Context, p *process, b *binding, w *waiting) (o outcome, ok bool) {
	from := calling(ctx)
	begins, err := t.enter(ctx, from, p, b, w)
	switch {
	case err != nil:
		return outcome{err: err}, false
	case from != nil:
		o, ok = from.awaitNested(ctx, p, w, begins)
	default:
		o, ok = w.await(ctx, begins)
	}
	if !ok {
		o = p.gaveUp(from, w, o)
	}
	return o, ok
}

// enter puts w into the mailbox of p for who waits with ctx, in handler from or, nil, in
// none; begins: see await.
func (t *Table) enter(
	ctx context.Context, from *handlerCtx, p *process, b *binding, w *waiting,
) (begins bool, err error) {
	if from != nil {
		if err := from.checkChain(p.id); err != nil {
			return false, err
		}
	}
	w.ctx = w.nextCtx()
	w.ctx.p = p
	w.limit(t.inherit(ctx, from, w.ctx, b))
	w.noTouch = b != nil && b.cfg.NoTouch
	w.readOnly = b != nil && b.cfg.ReadOnly
	w.noWait = b != nil && b.cfg.NoWait
	w.open()
	if begins, err = p.put(&w.envelope); err != nil {
		w.close()
		return false, err
	}
	if begins {
		t.workers.run(p, w)
	} else if from.holdsPlace() {
		t.starts.overtake(p)
	}
	if from != nil {
		p.awaited(from.chain())
	}
	w.arm()
	return begins, nil
}

// hand gives a handler's ctx what it has of the caller's: the deadline, the chain of
// calls, and what Inject and Extract let through. It returns the deadline that the
// caller's does not have; 0: it has one.
func (t *Table) inherit(ctx context.Context, from *handlerCtx, h *handlerCtx, b *binding) (limit int64) {
	if from != nil {
		h.rare().from = from
	}
	if t.cfg.Inject != nil && t.cfg.Extract != nil {
		if values := t.carry(ctx); values != nil {
			h.rare().values = values
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		h.deadline = sinceEpoch(deadline)
		return 0
	}
	h.deadline = t.clock.in(b.timeout(t.cfg.CallTimeout))
	return h.deadline
}

// carry is what Inject and Extract let a handler's ctx have of its caller's; nil: nothing.
func (t *Table) carry(ctx context.Context) context.Context {
	if carried := t.cfg.Inject(ctx); len(carried) > 0 {
		return t.cfg.Extract(context.Background(), carried)
	}
	return nil
}

// cast is a Message made by Notice.Cast and by timers.
type cast[Msg any] struct {
	envelope
	notice *Notice[Msg]
	bound  *binding
	msg    Msg
	sent   *parcel[Msg] // nil: msg itself goes
}

func (m *cast[Msg]) Op() Op         { return OpCast }
func (m *cast[Msg]) Kind() string   { return m.notice.kind }
func (m *cast[Msg]) Method() string { return m.notice.name }

func (m *cast[Msg]) AppendPayload(b []byte, most int) ([]byte, bool, error) {
	return m.notice.msg.encodeRequest(b, &m.msg, most)
}

// ReadReply is never called: casts have no reply.
func (m *cast[Msg]) ReadReply([]byte, bool) error { return nil }

func (m *cast[Msg]) deliver(ctx context.Context, t *Table, part int, id string) error {
	p, b, err := t.resolve(context.Background(), part, id, &m.notice.token, OpCast)
	if err == nil {
		err = m.push(ctx, p, b)
	}
	if err != nil {
		return &OpError{Op: OpCast.String(), ID: id, Kind: m.notice.kind, Method: m.notice.name, Err: err}
	}
	return nil
}

func (m *cast[Msg]) push(ctx context.Context, p *process, b *binding) (err error) {
	m.op, m.bound, m.noTouch, m.noWait, m.readOnly = m, b, m.noTouch || b.cfg.NoTouch, b.cfg.NoWait, b.cfg.ReadOnly
	c := &m.notice.msg
	if c.asIs(b.cfg.ShareRequest) {
		c.normalize(&m.msg)
		m.size = mailSize(c.weight(&m.msg))
	} else {
		m.sent = new(parcel[Msg])
		if m.size, err = c.packRequest(m.sent, &m.msg, false, p.table.cfg.MaxMessage); err != nil {
			return err
		}
	}
	if err := p.table.Fits(int(m.size)); err != nil {
		return err
	}
	return p.pushCast(ctx, &m.envelope)
}

// run implements op.
func (m *cast[Msg]) run(p *process) error {
	err := m.handle(p)
	if err != nil {
		p.logger().Warn("a cast failed", "method", m.notice.name, "err", err)
	}
	return err
}

func (m *cast[Msg]) handle(p *process) error {
	msg, err := m.message()
	if err != nil {
		return badRequest{err}
	}
	if fn, ok := m.bound.typed.(func(any, context.Context, Msg) error); ok {
		return fn(p.state, p.cur.ctx, *msg)
	}
	payload, err := m.notice.msg.encode(nil, msg, p.table.cfg.MaxMessage)
	if err != nil {
		return fmt.Errorf("a token of the same name with another type: %w", err)
	}
	_, _, err = m.bound.serve(p.state, p.cur.ctx, payload, m.notice.msg.raw, nil)
	return err
}

// message returns what was sent.
func (m *cast[Msg]) message() (*Msg, error) {
	if m.sent == nil {
		return &m.msg, nil
	}
	return m.notice.msg.unpack(m.sent, &m.msg)
}

// drop implements op: nobody waits for a cast.
func (m *cast[Msg]) drop(uint64, outcome) {}
