package engine

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// untyped is a Message of names and values in place of a token.
type untyped struct {
	op      core.Op
	kind    string
	method  string
	request any
	reply   any
	once    *core.Once
}

// Untyped makes a Message of names and values. The request is encoded; reply,
// which may be nil, is a pointer that the reply is decoded into: of calls their
// handler's, of OpStarted a *bool. It serves package node.
func Untyped(op core.Op, kind, method string, request, reply any) sessionproc.Message {
	return &untyped{op: op, kind: kind, method: method, request: request, reply: reply}
}

func (m *untyped) Op() core.Op    { return m.op }
func (m *untyped) Kind() string   { return m.kind }
func (m *untyped) Method() string { return m.method }

// Keeps is that of a Waiting.
func (m *untyped) Keeps() **core.Once { return &m.once }

func (m *untyped) AppendPayload(b []byte, most int) (_ []byte, raw bool, err error) {
	defer core.Contain(&err)
	if m.op == core.OpStarted || m.op == core.OpTerminate || m.op == core.OpTouch {
		return b, true, nil
	}
	payload, raw, err := core.AppendValue(b, m.request, most)
	if err != nil {
		return nil, false, core.BadRequest(err)
	}
	return payload, raw, nil
}

func (m *untyped) ReadReply(payload []byte, raw bool) error {
	switch {
	case m.reply == nil:
		return nil
	case m.op == core.OpStarted:
		*m.reply.(*bool) = len(payload) == 1 && payload[0] == 1
		return nil
	}
	if err := core.DecodeValue(payload, raw, m.reply); err != nil {
		return core.BadReply(err)
	}
	return nil
}

// Deliver takes the way of a request from another node.
func (m *untyped) Deliver(ctx context.Context, on *core.Host, part int, id string) error {
	t := tableOf(on)
	switch m.op {
	case core.OpCall, core.OpStart, core.OpEnsure, core.OpRenew, core.OpSubscribe:
	default:
		return m.exchange(ctx, t, part, id)
	}
	waiting, over, err := Pending(ctx, part, id)
	if err != nil {
		return m.failed(id, core.Outcome{Err: err})
	}
	defer over()
	err = m.exchange(waiting, t, part, id)
	if cycle := EndedByCycle(waiting, err); cycle != nil {
		return m.failed(id, core.Outcome{Err: cycle, Maybe: sessionproc.MaybeExecuted(err)})
	}
	return err
}

func (m *untyped) exchange(ctx context.Context, t *Table, part int, id string) error {
	_, patient := ctx.Deadline()
	if !patient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.binding(t.kinds[m.kind], m.method).Timeout(t.cfg.CallTimeout))
		defer cancel()
	}
	payload, raw, err := m.AppendPayload(nil, t.cfg.MaxMessage)
	if err != nil {
		return m.failed(id, core.Outcome{Err: err})
	}
	if err := t.Fits(len(payload)); err != nil {
		return m.failed(id, core.Outcome{Err: err})
	}
	chain, err := CallChain(ctx, id)
	if err != nil && m.op != core.OpCast && m.op != core.OpStarted && m.op != core.OpTouch {
		return m.failed(id, core.Outcome{Err: err})
	}
	a := &localAnswer{m: m, done: make(chan core.Outcome, 1)}
	in := &Inbound{Op: m.op, ID: id, Kind: m.kind, Method: m.method, Payload: payload, Raw: raw, Chain: chain,
		Placed: HoldsPlace(ctx), Answer: a}
	if m.op == core.OpCall {
		core.Asking(core.Found(ctx), &m.once, id, m.method)
	}
	in.Once = m.once
	in.Deadline, _ = ctx.Deadline()
	in.Patient, in.NoWait = patient, err != nil
	switch {
	case t.cfg.Inject == nil:
	case m.op == core.OpSubscribe || m.op == core.OpAdopt: // a goroutine of the library asks
		_ = core.Apart(func() { in.carryAlong(ctx, t) })
	default:
		in.carryAlong(ctx, t)
	}
	t.Serve(part, in)
	select {
	case o := <-a.done:
		if o.Err != nil {
			return m.failed(id, o)
		}
		return nil
	case <-ctx.Done():
		return m.gaveUp(ctx, in, a, t, part)
	}
}

// gaveUp ends the wait for an answer, unless that is there.
func (m *untyped) gaveUp(ctx context.Context, in *Inbound, a *localAnswer, t *Table, part int) error {
	if m.op == core.OpTerminate {
		return m.failed(in.ID, t.lateAt(part, in.ID, nil, core.CtxOutcome(ctx, true)))
	}
	if ran, ok := in.Abandon(); ok {
		in.Ctx.End(core.CauseOf(ctx.Err()))
		return m.failed(in.ID, in.gaveUp(ctx, t, part, ran))
	}
	if o := <-a.done; o.Err != nil {
		return m.failed(in.ID, o)
	}
	return nil
}

// gaveUp is the outcome of a request of this node for which nobody waits any more.
func (in *Inbound) gaveUp(ctx context.Context, t *Table, part int, ran bool) core.Outcome {
	o := core.CtxOutcome(ctx, ran)
	switch in.Op {
	case core.OpCall, core.OpCast, core.OpSubscribe:
		return sessionOf(in.Ctx).gaveUp(core.Calling(ctx), &in.Waiting, o)
	}
	return t.lateAt(part, in.ID, &in.Waiting, o)
}

func (m *untyped) failed(id string, o core.Outcome) error { return Failed(m, id, o.Err, o.Maybe) }

// Failed returns the OpError of a message. An ensure fails as a start.
func Failed(m sessionproc.Message, id string, err error, maybe bool) error {
	op := m.Op()
	if op == core.OpEnsure {
		op = core.OpStart
	}
	return &sessionproc.OpError{Op: op.String(), ID: id, Kind: m.Kind(), Method: m.Method(), Err: err,
		MaybeExecuted: maybe}
}

// localAnswer gives the outcome of an Inbound to a goroutine that waits.
type localAnswer struct {
	m    *untyped
	done chan core.Outcome // cap 1
}

func (a *localAnswer) Reply(payload []byte, raw bool) {
	var o core.Outcome
	if err := a.m.ReadReply(payload, raw); err != nil {
		o = core.Outcome{Err: err, Maybe: true}
	}
	a.done <- o
}

func (a *localAnswer) Ack() { a.done <- core.Outcome{} }

func (a *localAnswer) Fail(err error, maybe, _ bool) { a.done <- core.Outcome{Err: err, Maybe: maybe} }
