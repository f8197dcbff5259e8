package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// An Inbound is a request in its encoded form: from another node, or an untyped one of this node. It
// serves package node, which sets the exported fields and passes the Inbound to Table.Serve. Package
// node may use it again after its Answer was called, except by Fail with held set.
type Inbound struct {
	core.Waiting
	Op       core.Op
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
	bound *core.Binding
	shown atomic.Pointer[core.Binding] // bound, for who looks at the session that handles it
	ask   poll                         // of an OpSubscribe
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
	if in.Task == nil { // set once: a session may look at it when in is used anew
		in.Task = in
		in.OnDecided = func() { in.Answer.Fail(in.End.Err, in.End.Maybe, true) }
	}
	in.Next, in.Ctx, in.bound, in.err = nil, nil, nil, nil
	switch in.Op {
	case core.OpCall:
		t.serveCall(part, in)
	case core.OpCast:
		t.serveCast(part, in)
	case core.OpStart, core.OpEnsure:
		in.Ctx = in.newCtx(nil)
		in.opened()
		t.decideStart(&core.Starter{W: &in.Waiting, Part: part, ID: in.ID, Kind: in.Kind, Ensure: in.Op == core.OpEnsure,
			Placed: in.Placed})
	case core.OpStarted:
		t.serveStarted(part, in)
	case core.OpTerminate:
		answer := in.Answer
		t.terminate(part, in.ID, func(err error) {
			if err != nil {
				answer.Fail(err, false, false)
			} else {
				answer.Reply(nil, true)
			}
		})
	case core.OpTouch:
		if err := t.touch(part, in.ID); err != nil {
			in.Answer.Fail(err, false, false)
		} else {
			in.Answer.Reply(nil, true)
		}
	case core.OpRenew:
		t.serveRenew(part, in)
	case core.OpAdopt:
		t.serveAdopt(part, in)
	case core.OpSubscribe:
		t.servePoll(part, in)
	default:
		in.Answer.Fail(sessionproc.ErrUnsupported, false, false)
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
	in.Open()
	if in.gone.Load() {
		in.EndWith(core.Outcome{Err: context.Canceled})
	}
}

// Cancel records that the caller of in gave up. The handler's ctx ends. A request that still waits in
// a mailbox does not run.
func (in *Inbound) Cancel() {
	in.gone.Store(true)
	if in.EndWith(core.Outcome{Err: context.Canceled}) && !in.End.Maybe {
		in.left()
	}
}

// left tells the session that the caller of a request gave up before the request began.
func (in *Inbound) left() {
	switch in.Op {
	case core.OpCall, core.OpCast, core.OpSubscribe:
		sessionOf(in.Ctx).callerLeft(&in.Waiting)
	}
}

func (t *Table) serveCall(part int, in *Inbound) {
	p, err := t.resolveNamed(part, in)
	if err != nil {
		in.Answer.Fail(err, false, false)
		return
	}
	in.Ctx = in.newCtx(p)
	in.Size = int32(len(in.Payload))
	in.NoUse, in.ReadOnly, in.AtOnce = in.bound.Settings.NoTouch, in.bound.Settings.ReadOnly, in.bound.Settings.NoWait
	if in.shown.Load() != in.bound { // a load costs less than a store
		in.shown.Store(in.bound)
	}
	in.opened()
	placed, chain := in.Placed, in.Chain // in is not ours once it is in the mailbox
	switch err := p.push(&in.Envelope); {
	case err == nil:
		if placed {
			t.starts.overtake(p)
		}
		p.awaited(chain)
	default:
		if _, ok := in.Abandon(); ok { // else Cancel has answered
			in.Answer.Fail(err, false, false)
		}
	}
}

func (t *Table) serveCast(part int, in *Inbound) {
	p, err := t.resolveNamed(part, in)
	if err == nil {
		m := newNamedCast(in.bound, in.Raw, append([]byte(nil), in.Payload...))
		m.NoUse, m.AtOnce = m.NoUse || in.NoTouch, in.NoWait || in.bound.Settings.NoWait
		if err = p.push(&m.Envelope); err == errNoPlace {
			p.lineUpFor(in, &m.Envelope)
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
	if in.Kind != "" && in.Kind != p.Kind.Name {
		return nil, p.otherKind(in.Kind)
	}
	in.bound = p.Kind.ByName[in.Method]
	if in.bound == nil || in.bound.Op != in.Op {
		return nil, p.renewedOr(t.unknownMethod(p.Kind, in.Method, in.Op))
	}
	return p, nil
}

func (in *Inbound) newCtx(p *process) *core.Ctx {
	h := in.NextCtx()
	if p != nil {
		h.Head = &p.Head
	}
	if !in.Deadline.IsZero() {
		h.Until = core.SinceEpoch(in.Deadline)
	}
	if len(in.Chain) > 0 || in.Values != nil {
		h.Origin = &core.Origin{Chain: in.Chain, Values: in.Values, Placed: in.Placed}
	}
	return h
}

// Run implements op.
func (in *Inbound) Run(h *core.Head, _ *core.Ctx) error {
	p := processOf(h)
	starting := in.Op == core.OpStart || in.Op == core.OpEnsure
	if late := !in.Deadline.IsZero() && !time.Now().Before(in.Deadline); late {
		in.EndWith(core.Outcome{Err: context.DeadlineExceeded})
	}
	switch {
	case !in.Claim():
		if starting {
			p.startFailed(errGivenUp)
		}
		return core.NoHandler{}
	case starting:
		if p.startsAgain() {
			p.noteArgument(in.Payload, in.Raw, false)
		}
		state, err := p.Kind.Maker.StartEncoded(in.Ctx, in.Payload, in.Raw, false)
		p.started(&in.Waiting, state, err, &in.err, in.give)
		return err
	case in.Op == core.OpSubscribe:
		in.present(p)
		return core.NoHandler{}
	}
	return in.serve(p)
}

// scratch holds buffers for encoded replies.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

func (in *Inbound) serve(p *process) error {
	buf := scratch.Get().(*[]byte)
	reply, raw, err := in.bound.Serve(p.State, in.Ctx, in.Payload, in.Raw, (*buf)[:0])
	in.Ctx.End(core.EndedCanceled)
	if most := p.table().cfg.MaxMessage; err == nil && len(reply) > most {
		err = core.BadReply(p.table().tooLarge(len(reply)))
	}
	in.reply, in.raw, in.err = reply, raw, err
	in.give()
	if cap(reply) > cap(*buf) && cap(reply) <= core.MaxPooled {
		*buf = reply
	}
	scratch.Put(buf)
	return err
}

// give answers with the handler's result, unless in was answered already.
func (in *Inbound) give() {
	if !in.Move(core.StateRunning, core.StateReplied) {
		return
	}
	if in.err != nil {
		in.Answer.Fail(in.err, !core.IsBadRequest(in.err), false)
		return
	}
	reply, raw := in.reply, in.raw
	if in.reply = nil; in.Op != core.OpCall {
		raw = true
	}
	in.Answer.Reply(reply, raw) // in may be in use again when it returns
}

// namedCast is the message of a cast that came encoded.
type namedCast struct {
	core.Envelope
	bound   *core.Binding
	raw     bool
	payload []byte
}

func newNamedCast(b *core.Binding, raw bool, payload []byte) *namedCast {
	m := &namedCast{bound: b, raw: raw, payload: payload}
	m.Task, m.Size, m.NoUse, m.ReadOnly = m, core.MailSize(len(payload)), b.Settings.NoTouch, b.Settings.ReadOnly
	return m
}

// Run implements op.
func (m *namedCast) Run(h *core.Head, ctx *core.Ctx) error {
	_, _, err := m.bound.Serve(h.State, ctx, m.payload, m.raw, nil)
	if err != nil {
		processOf(h).logger().Warn("a cast failed", "method", m.bound.Name, "err", err)
	}
	return err
}

// Drop implements op: nobody waits for a cast.
func (m *namedCast) Drop(uint64, core.Outcome) {}
