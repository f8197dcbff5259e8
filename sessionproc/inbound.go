package sessionproc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// An Inbound is a request in its encoded form: from another node, or an untyped one of this node. It
// serves package node, which sets the exported fields and passes the Inbound to Table.Serve. Package
// node may use it again after its Answer was called, except by Fail with held set.
type Inbound struct {
	waiting
	Op       Op
	ID       string // ID, Kind, Method and Payload are only read until the answer
	Kind     string // "": any
	Method   string
	Raw      bool
	Payload  []byte
	Deadline time.Time       // zero: none
	Chain    []string        // see CallChain
	Placed   bool            // see HoldsPlace
	Values   context.Context // made by Extract; may be nil
	NoTouch  bool            // a cast that does not count as use
	Patient  bool            // a cast that waits for its place until Deadline
	NoWait   bool            // a cast that does not wait for its place
	Peer     string          // the node that it came from; "": this one
	Answer   Answer

	gone  atomic.Bool // its caller has
	bound *binding
	shown atomic.Pointer[binding] // bound, for who looks at the session that handles it
	ask   poll                    // of an OpSubscribe
	err   error
	reply []byte
	raw   bool
}

// An Answer receives the outcome of an Inbound, by exactly one call of one method, in any goroutine.
// The methods must not block.
type Answer interface {
	// Reply receives the reply of a call, or reports that a start or terminate has succeeded.
	// payload is valid until Reply returns.
	Reply(payload []byte, raw bool)
	// Ack reports that a cast is in its session's mailbox.
	Ack()
	// Fail receives an error. held means that a session still holds the Inbound and its fields, so
	// that neither may be used again.
	Fail(err error, maybeExecuted, held bool)
}

// Serve passes in to its session and does not wait for the answer.
func (t *Table) Serve(part int, in *Inbound) {
	if in.op == nil { // set once: a session may look at it when in is used anew
		in.op = in
		in.onDecided = func() { in.Answer.Fail(in.end.err, in.end.maybe, true) }
	}
	in.next, in.ctx, in.bound, in.err = nil, nil, nil, nil
	switch in.Op {
	case OpCall:
		t.serveCall(part, in)
	case OpCast:
		t.serveCast(part, in)
	case OpStart, OpEnsure:
		in.ctx = in.newCtx(nil)
		in.opened()
		t.decideStart(&starter{W: &in.waiting, Part: part, ID: in.ID, Kind: in.Kind, Ensure: in.Op == OpEnsure,
			Placed: in.Placed})
	case OpStarted:
		t.serveStarted(part, in)
	case OpTerminate:
		answer := in.Answer
		t.terminate(part, in.ID, func(err error) {
			if err != nil {
				answer.Fail(err, false, false)
			} else {
				answer.Reply(nil, true)
			}
		})
	case OpTouch:
		if err := t.touch(part, in.ID); err != nil {
			in.Answer.Fail(err, false, false)
		} else {
			in.Answer.Reply(nil, true)
		}
	case OpRenew:
		t.serveRenew(part, in)
	case OpAdopt:
		t.serveAdopt(part, in)
	case OpSubscribe:
		t.servePoll(part, in)
	default:
		in.Answer.Fail(ErrUnsupported, false, false)
	}
}

func (t *Table) serveStarted(part int, in *Inbound) {
	reply := []byte{0}
	switch started, err := t.started(part, in.ID); {
	case err != nil:
		in.Answer.Fail(err, false, false)
		return
	case started:
		reply[0] = 1
	}
	in.Answer.Reply(reply, true)
}

// Begin is called before an Inbound that was cancelled is used for another request.
func (in *Inbound) Begin() { in.gone.Store(false) }

// opened begins the exchange of in. If the caller gave up before, it ends the exchange at once: a
// request may be served late, or again after a pause.
func (in *Inbound) opened() {
	in.open()
	if in.gone.Load() {
		in.endWith(outcome{err: context.Canceled})
	}
}

// Cancel records that the caller of in gave up. The handler's ctx ends. A request that still waits in
// a mailbox does not run.
func (in *Inbound) Cancel() {
	in.gone.Store(true)
	if in.endWith(outcome{err: context.Canceled}) && !in.end.maybe {
		in.left()
	}
}

// left tells the session that the caller of a request gave up before the request began.
func (in *Inbound) left() {
	switch in.Op {
	case OpCall, OpCast, OpSubscribe:
		sessionOf(in.ctx).callerLeft(&in.waiting)
	}
}

func (t *Table) serveCall(part int, in *Inbound) {
	p, err := t.resolveNamed(part, in)
	if err != nil {
		in.Answer.Fail(err, false, false)
		return
	}
	in.ctx = in.newCtx(p)
	in.size = int32(len(in.Payload))
	in.noTouch, in.readOnly, in.noWait = in.bound.cfg.NoTouch, in.bound.cfg.ReadOnly, in.bound.cfg.NoWait
	if in.shown.Load() != in.bound { // a load costs less than a store
		in.shown.Store(in.bound)
	}
	in.opened()
	placed, chain := in.Placed, in.Chain // in is not ours once it is in the mailbox
	switch err := p.push(&in.envelope); {
	case err == nil:
		if placed {
			t.starts.overtake(p)
		}
		p.awaited(chain)
	default:
		if _, ok := in.abandon(); ok { // else Cancel has answered
			in.Answer.Fail(err, false, false)
		}
	}
}

func (t *Table) serveCast(part int, in *Inbound) {
	p, err := t.resolveNamed(part, in)
	if err == nil {
		m := newNamedCast(in.bound, in.Raw, append([]byte(nil), in.Payload...))
		m.noTouch, m.noWait = m.noTouch || in.NoTouch, in.NoWait || in.bound.cfg.NoWait
		if err = p.push(&m.envelope); err == errNoPlace {
			p.lineUpFor(in, &m.envelope)
			return
		}
	}
	if err != nil {
		in.Answer.Fail(err, false, false)
		return
	}
	in.Answer.Ack()
}

// resolveNamed is resolve for a request that has names and no token.
func (t *Table) resolveNamed(part int, in *Inbound) (*process, error) {
	if why := t.PausedBy(); why != nil {
		return nil, why
	}
	p := t.find(part, in.ID)
	if p == nil {
		var err error
		if p, err = t.startOnCall(part, in.ID, in.Kind, in.Method, in.Op, in.waitingFor()); err != nil {
			return nil, err
		}
	}
	if in.Kind != "" && in.Kind != p.Kind.name {
		return nil, p.otherKind(in.Kind)
	}
	in.bound = p.Kind.byName[in.Method]
	if in.bound == nil || in.bound.op != in.Op {
		return nil, p.renewedOr(t.unknownMethod(p.Kind, in.Method, in.Op))
	}
	return p, nil
}

func (in *Inbound) newCtx(p *process) *handlerCtx {
	h := in.nextCtx()
	if p != nil {
		h.Head = &p.Head
	}
	if !in.Deadline.IsZero() {
		h.deadline = sinceEpoch(in.Deadline)
	}
	if len(in.Chain) > 0 || in.Values != nil {
		h.origin = &origin{chain: in.Chain, values: in.Values, placed: in.Placed}
	}
	return h
}

// Run implements op.
func (in *Inbound) Run(h *Head, _ *handlerCtx) error {
	p := processOf(h)
	starting := in.Op == OpStart || in.Op == OpEnsure
	if late := !in.Deadline.IsZero() && !time.Now().Before(in.Deadline); late {
		in.endWith(outcome{err: context.DeadlineExceeded})
	}
	switch {
	case !in.begin():
		if starting {
			p.startFailed(errGivenUp)
		}
		return noHandler{}
	case starting:
		if p.startsAgain() {
			p.noteArgument(in.Payload, in.Raw, false)
		}
		state, err := p.Kind.maker.StartEncoded(in.ctx, in.Payload, in.Raw, false)
		p.started(&in.waiting, state, err, &in.err, in.give)
		return err
	case in.Op == OpSubscribe:
		in.present(p)
		return noHandler{}
	}
	return in.serve(p)
}

// scratch holds buffers for encoded replies.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

func (in *Inbound) serve(p *process) error {
	buf := scratch.Get().(*[]byte)
	reply, raw, err := in.bound.serve(p.State, in.ctx, in.Payload, in.Raw, (*buf)[:0])
	in.ctx.end(endedCanceled)
	if most := p.table().cfg.MaxMessage; err == nil && len(reply) > most {
		err = badReply(p.table().tooLarge(len(reply)))
	}
	in.reply, in.raw, in.err = reply, raw, err
	in.give()
	if cap(reply) > cap(*buf) && cap(reply) <= maxPooled {
		*buf = reply
	}
	scratch.Put(buf)
	return err
}

// give answers with the handler's result, unless in was answered already.
func (in *Inbound) give() {
	if !in.move(stateRunning, stateReplied) {
		return
	}
	if in.err != nil {
		in.Answer.Fail(in.err, !isBadRequest(in.err), false)
		return
	}
	reply, raw := in.reply, in.raw
	if in.reply = nil; in.Op != OpCall {
		raw = true
	}
	in.Answer.Reply(reply, raw) // in may be in use again when it returns
}

// namedCast is the message of a cast that came encoded.
type namedCast struct {
	envelope
	bound   *binding
	raw     bool
	payload []byte
}

func newNamedCast(b *binding, raw bool, payload []byte) *namedCast {
	m := &namedCast{bound: b, raw: raw, payload: payload}
	m.op, m.size, m.noTouch, m.readOnly = m, mailSize(len(payload)), b.cfg.NoTouch, b.cfg.ReadOnly
	return m
}

// Run implements op.
func (m *namedCast) Run(h *Head, ctx *handlerCtx) error {
	_, _, err := m.bound.serve(h.State, ctx, m.payload, m.raw, nil)
	if err != nil {
		processOf(h).logger().Warn("a cast failed", "method", m.bound.name, "err", err)
	}
	return err
}

// Drop implements op: nobody waits for a cast.
func (m *namedCast) Drop(uint64, outcome) {}
