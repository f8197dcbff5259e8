package sessionproc

import "context"

// untyped is a Message of names and values in place of a token.
type untyped struct {
	op      Op
	kind    string
	method  string
	request any
	reply   any
}

// Untyped makes a Message of names and values. The request is encoded; reply,
// which may be nil, is a pointer that the reply is decoded into: of calls their
// handler's, of OpStarted a *bool. It serves package node.
func Untyped(op Op, kind, method string, request, reply any) Message {
	return &untyped{op, kind, method, request, reply}
}

func (m *untyped) Op() Op         { return m.op }
func (m *untyped) Kind() string   { return m.kind }
func (m *untyped) Method() string { return m.method }

func (m *untyped) AppendPayload(b []byte, most int) (_ []byte, raw bool, err error) {
	defer contain(&err)
	if m.op == OpStarted || m.op == OpTerminate || m.op == OpTouch {
		return b, true, nil
	}
	payload, raw, err := encodeValue(b, m.request, most)
	if err != nil {
		return nil, false, badRequest(err)
	}
	return payload, raw, nil
}

func (m *untyped) ReadReply(payload []byte, raw bool) error {
	switch {
	case m.reply == nil:
		return nil
	case m.op == OpStarted:
		*m.reply.(*bool) = len(payload) == 1 && payload[0] == 1
		return nil
	}
	if err := DecodeValue(payload, raw, m.reply); err != nil {
		return badReply(err)
	}
	return nil
}

// Deliver takes the way of a request from another node.
func (m *untyped) Deliver(ctx context.Context, on *Host, part int, id string) error {
	t := tableOf(on)
	switch m.op {
	case OpCall, OpStart, OpEnsure, OpRenew, OpSubscribe:
	default:
		return m.exchange(ctx, t, part, id)
	}
	waiting, over, err := Pending(ctx, part, id)
	if err != nil {
		return m.failed(id, outcome{err: err})
	}
	defer over()
	err = m.exchange(waiting, t, part, id)
	if cycle := EndedByCycle(waiting, err); cycle != nil {
		return m.failed(id, outcome{err: cycle, maybe: MaybeExecuted(err)})
	}
	return err
}

func (m *untyped) exchange(ctx context.Context, t *Table, part int, id string) error {
	_, patient := ctx.Deadline()
	if !patient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.binding(t.kinds[m.kind], m.method).timeout(t.cfg.CallTimeout))
		defer cancel()
	}
	payload, raw, err := m.AppendPayload(nil, t.cfg.MaxMessage)
	if err != nil {
		return m.failed(id, outcome{err: err})
	}
	if err := t.Fits(len(payload)); err != nil {
		return m.failed(id, outcome{err: err})
	}
	chain, err := CallChain(ctx, id)
	if err != nil && m.op != OpCast && m.op != OpStarted && m.op != OpTouch {
		return m.failed(id, outcome{err: err})
	}
	a := &localAnswer{m: m, done: make(chan outcome, 1)}
	in := &Inbound{Op: m.op, ID: id, Kind: m.kind, Method: m.method, Payload: payload, Raw: raw, Chain: chain,
		Placed: HoldsPlace(ctx), Answer: a}
	in.Deadline, _ = ctx.Deadline()
	in.Patient, in.NoWait = patient, err != nil
	switch {
	case t.cfg.Inject == nil || t.cfg.Extract == nil:
	case m.op == OpSubscribe || m.op == OpAdopt: // a goroutine of the library asks
		_ = Apart(func() { in.Values = t.carry(ctx) })
	default:
		in.Values = t.carry(ctx)
	}
	t.Serve(part, in)
	select {
	case o := <-a.done:
		if o.err != nil {
			return m.failed(id, o)
		}
		return nil
	case <-ctx.Done():
		return m.gaveUp(ctx, in, a, t, part)
	}
}

// gaveUp ends the wait for an answer, unless that is there.
func (m *untyped) gaveUp(ctx context.Context, in *Inbound, a *localAnswer, t *Table, part int) error {
	if m.op == OpTerminate {
		return m.failed(in.ID, t.lateAt(part, in.ID, nil, ctxOutcome(ctx, true)))
	}
	if ran, ok := in.abandon(); ok {
		in.ctx.end(causeOf(ctx.Err()))
		return m.failed(in.ID, in.gaveUp(ctx, t, part, ran))
	}
	if o := <-a.done; o.err != nil {
		return m.failed(in.ID, o)
	}
	return nil
}

// gaveUp is the outcome of a request of this node for which nobody waits any more.
func (in *Inbound) gaveUp(ctx context.Context, t *Table, part int, ran bool) outcome {
	o := ctxOutcome(ctx, ran)
	switch in.Op {
	case OpCall, OpCast, OpSubscribe:
		return sessionOf(in.ctx).gaveUp(calling(ctx), &in.waiting, o)
	}
	return t.lateAt(part, in.ID, &in.waiting, o)
}

func (m *untyped) failed(id string, o outcome) error {
	op := m.op
	if op == OpEnsure {
		op = OpStart
	}
	return &OpError{Op: op.String(), ID: id, Kind: m.kind, Method: m.method, Err: o.err, MaybeExecuted: o.maybe}
}

// localAnswer gives the outcome of an Inbound to a goroutine that waits.
type localAnswer struct {
	m    *untyped
	done chan outcome // cap 1
}

func (a *localAnswer) Reply(payload []byte, raw bool) {
	var o outcome
	if err := a.m.ReadReply(payload, raw); err != nil {
		o = outcome{err: err, maybe: true}
	}
	a.done <- o
}

func (a *localAnswer) Ack() { a.done <- outcome{} }

func (a *localAnswer) Fail(err error, maybe, _ bool) { a.done <- outcome{err: err, maybe: maybe} }
