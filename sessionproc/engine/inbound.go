package engine

import (
	"context"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Serve passes in to its session and does not wait for the answer.
func (t *Table) Serve(part int, in *Inbound) {
	if in.Task == nil { // set once: a session may look at it when in is used anew
		in.Task = in
		in.OnDecided = in.decided
	}
	in.Next, in.Ctx, in.bound, in.err = nil, nil, nil, nil
	in.Size, in.NoUse, in.ReadOnly, in.AtOnce = 0, false, false, false // as its last request had them
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
		answer, first := in.Answer, int64(0)
		if in.Once != nil {
			first = in.Once.First
		}
		t.terminate(part, in.ID, first, func(err error) { tell(answer, nil, err) })
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

// decided answers a request that was decided without the result of a handler. A start that is made again
// has no error if the first one has started the session.
func (in *Inbound) decided() {
	if in.End.Err == nil {
		in.Answer.Reply(nil, true)
		return
	}
	in.Answer.Fail(in.End.Err, in.End.Maybe, true)
}

func (t *Table) serveStarted(part int, in *Inbound) {
	reply := []byte{0}
	p, err := t.started(part, in.ID)
	switch {
	case err != nil:
		in.Answer.Fail(err, false, false)
		return
	case p != nil:
		reply[0] = 1
	}
	if p != nil && p.Kind.Kept {
		answer := in.Answer
		p.whenBorn(func(err error) { tell(answer, reply, err) })
		return
	}
	in.Answer.Reply(reply, true)
}

// tell gives the answer to a request that succeeded, or the error with which it is not durable.
func tell(a Answer, reply []byte, err error) {
	if err != nil {
		a.Fail(err, undurable(err), false)
	} else {
		a.Reply(reply, true)
	}
}

func (t *Table) serveCall(part int, in *Inbound) {
	p, err := t.resolveNamed(part, in)
	if err != nil {
		in.Answer.Fail(err, false, false)
		return
	}
	in.Ctx = in.newCtx(p)
	if in.Once != nil {
		if err := p.keyed(in.Ctx, in.Once, in.bound); err != nil {
			in.Answer.Fail(err, false, false)
			return
		}
	}
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
			if err != sessionproc.ErrRenewed || !in.repliedBefore(p) {
				in.Answer.Fail(err, false, false)
			}
		}
	}
}

func (t *Table) serveCast(part int, in *Inbound) {
	p, err := t.resolveNamed(part, in)
	if err == nil {
		m := newNamedCast(in.bound, in.Raw, append([]byte(nil), in.Payload...))
		m.NoUse, m.AtOnce = m.NoUse || in.NoTouch, in.NoWait || in.bound.Settings.NoWait
		m.Ctx = core.CastCtx(in.Carried, in.Values)
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

// Run implements core.Task.
func (in *Inbound) Run(h *core.Head, _ *core.Ctx) error {
	p := processOf(h)
	starting := in.Op.Starts()
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
		p.started(&in.Waiting, state, err, &in.err, in)
		return err
	case in.Op == core.OpSubscribe:
		in.present(p)
		return core.NoHandler{}
	}
	return in.serve(p)
}

// scratch holds buffers for encoded replies.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// giveScratch gives a buffer back, with the memory of the reply that was made with it. buf may be nil.
func giveScratch(buf *[]byte, reply []byte) {
	if buf == nil {
		return
	}
	if cap(reply) > cap(*buf) && cap(reply) <= core.MaxPooled {
		*buf = reply
	}
	scratch.Put(buf)
}

func (in *Inbound) serve(p *process) error {
	once := in.Ctx.Once() != nil
	if once {
		if known, err := in.replied(p); known {
			return err
		}
	}
	buf := scratch.Get().(*[]byte)
	reply, raw, err := in.bound.Serve(p.State, in.Ctx, in.Payload, in.Raw, (*buf)[:0])
	in.Ctx.End(core.EndedCanceled)
	if most := p.table().cfg.MaxMessage; err == nil && len(reply) > most {
		err = core.BadReply(p.table().tooLarge(len(reply)))
	}
	if once {
		p.table().KeepReply(in.Ctx, in.bound.Name, in.digest(), core.Reply{Payload: reply, Raw: raw, Err: err})
	}
	in.reply, in.raw, in.err = reply, raw, err
	if p.Kind.Kept {
		in.buf = buf // until it is answered
		p.table().Answer(&p.Head, in.bound, in, in.Size+int32(len(reply)))
		return err
	}
	in.give()
	giveScratch(buf, reply)
	return err
}

// digest returns what tells the request from others with its key. There are none with a numbered one.
func (in *Inbound) digest() uint64 {
	if in.Once.Numbered() {
		return 0
	}
	return core.Digest(in.Payload, in.Raw)
}

// replied answers a call with a key with the reply that the session has kept for it. It reports false
// if the handler is to run.
func (in *Inbound) replied(p *process) (known bool, err error) {
	r, known, err := p.table().Replied(in.Ctx, in.bound.Name, in.digest())
	if !known && err == nil {
		return false, nil
	}
	if err == nil {
		err = r.Err
	}
	in.Ctx.End(core.EndedCanceled)
	in.reply, in.raw, in.err = r.Payload, r.Raw, err
	if p.Kind.Kept {
		p.table().Answer(&p.Head, in.bound, in, in.Size+int32(len(r.Payload)))
	} else {
		in.give()
	}
	return true, err
}

// repliedBefore answers a call with a key with the reply of a session that goes on under another ID.
func (in *Inbound) repliedBefore(p *process) bool {
	if in.Once == nil {
		return false
	}
	r, known := p.table().RepliedBefore(&p.Head, in.Once, in.bound.Name, in.digest())
	switch {
	case !known:
		return false
	case r.Err != nil:
		in.Answer.Fail(r.Err, !core.NotRun(r.Err), false)
	default:
		in.Answer.Reply(r.Payload, r.Raw)
	}
	return true
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
