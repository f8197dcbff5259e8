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

// clear removes from m what belongs to its exchange, so that the pool keeps no memory of users.
func (m *call[Req, Rep]) clear() {
	m.err, m.ctx, m.next = nil, nil, nil
	m.method.req.clear(&m.req, &m.sent)
	m.method.rep.clear(&m.rep, &m.got)
}

// deliver runs the call on a session of this table. The request is packed in the caller's
// goroutine and unpacked in the session's, and the reply the other way round, so that the two
// share no memory. The parts that may fail before the message is in a mailbox come first: their
// outcome has maybe false.
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

// deliverAnew delivers a fresh message in place of m, which belongs to another table; see pooled.
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

// run implements op. The order at its end matters. The handler's ctx ends first, so that
// goroutines which the handler left behind see that it has returned. The reply is packed before
// finish, which hands m to the caller. After finish m may be in use again and must not be
// touched.
func (m *call[Req, Rep]) run(p *process) error {
	if !m.begin() {
		return noHandler{}
	}
	h := m.ctx
	if c := &m.method.req; c.simple {
		m.err = m.handle(p, h, &m.req)
	} else if req, err := c.unpack(&m.sent, &m.req); err == nil {
		m.err = m.handle(p, h, req)
	} else {
		m.err = badRequest{err}
	}
	h.end(endedCanceled)
	if c := &m.method.rep; m.err == nil && !c.simple {
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
	m.finish()
	return err
}

// handle calls the handler. The token of the caller and the kind's binding have equal types if
// both are of one program, which is nearly always so. Then there is no encoding.
func (m *call[Req, Rep]) handle(p *process, h *handlerCtx, req *Req) error {
	if fn, ok := m.bound.typed.(func(any, context.Context, *Req, *Rep) error); ok {
		if err := fn(p.state, h, req, &m.rep); err != nil {
			return portable(h, err)
		}
		return nil
	}
	return m.handleCoded(p, h, req)
}

// handleCoded serves a token that has the name of the method and other types. It encodes the
// request and the reply, as if the call came from another node.
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
	return &OpError{Op: OpCall.String(), ID: id, Kind: m.method.kind, Method: m.method.name, Err: o.err,
		MaybeExecuted: o.maybe}
}

func isBadRequest(err error) bool {
	_, ok := err.(badRequest)
	return ok
}

// exchange puts w into the mailbox of p and waits for its outcome. ok means that the handler's
// result is in the message; otherwise o says why not.
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

// enter puts w into the mailbox of p, for a caller that then waits with ctx. from is the handler
// that calls, or nil. begins is a parameter of await.
//
// limit comes before open and arm after put: the timer's function reads the deadline of whatever
// exchange is open (see waiting.expire). awaited comes last, when the message is in the mailbox,
// so that two sessions which call each other see at least one of the two messages.
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

// inherit fills a handler's ctx with what it has of its caller's: the deadline, the chain of
// calls, and the values that Inject and Extract let through. If the caller's ctx has no deadline,
// inherit chooses one and returns it as limit, for waiting.limit to enforce. Otherwise limit is
// 0: the caller's ctx itself ends the wait.
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

// carry returns the values of ctx that Inject and Extract let through, or nil.
func (t *Table) carry(ctx context.Context) context.Context {
	if carried := t.cfg.Inject(ctx); len(carried) > 0 {
		return t.cfg.Extract(context.Background(), carried)
	}
	return nil
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

// push packs the message and puts it into the mailbox of p.
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

// run implements op. The error of a handler has no caller to go to, so it is logged.
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

// drop implements op. A cast has no caller to answer.
func (m *cast[Msg]) drop(uint64, outcome) {}
