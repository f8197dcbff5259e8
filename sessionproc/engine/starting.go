package engine

import (
	"context"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// ExchangeStart starts the session of s and waits for its start function. It breaks the wait if it
// becomes part of a circle. The order is that of enter: Limit before Open, Arm after the message has
// its place.
func (t *Table) ExchangeStart(ctx context.Context, s *core.Starter) (o core.Outcome, ok bool) {
	waiting, over, err := Pending(ctx, s.Part, s.ID)
	if err != nil {
		return core.Outcome{Err: err}, false
	}
	defer over()
	o, ok = t.exchangeStart(waiting, s)
	if !ok {
		if cycle := EndedByCycle(waiting, o.Err); cycle != nil {
			o.Err = cycle
		}
	}
	return o, ok
}

func (t *Table) exchangeStart(ctx context.Context, s *core.Starter) (o core.Outcome, ok bool) {
	from := core.Calling(ctx)
	if from != nil {
		if err := from.CheckChain(s.ID); err != nil {
			return core.Outcome{Err: err}, false
		}
	}
	part, id, w := s.Part, s.ID, s.W // s may be in use again when place has decided
	w.Ctx = new(core.Ctx)            // not one of NextCtx's 16: a session may keep it, and all 16 with it
	w.Limit(t.inherit(ctx, from, w.Ctx, nil))
	w.Open()
	s.Waits, s.Placed = true, holdsPlace(from)
	if o, decided := t.place(s); decided {
		w.Close()
		return o, false
	}
	w.Arm()
	if o, ok = w.Await(ctx, s.Begins); !ok && o.Err != nil {
		o = t.lateAt(part, id, w, o)
	}
	return o, ok
}

// startOnCall starts a missing session for a message whose method or kind says so. by is the
// origin of the message's handler, or nil for a message that no handler waits for, such as a
// cast. The start function becomes part of the chain of calls of by.
//
// values returns those of the start function's ctx, or nil.
//
// It does not wait for the start. The start is the first message in the mailbox, and the message
// that caused it comes behind. If the start fails, that message gets the error.
func (t *Table) startOnCall(part int, id, kind, method string, op core.Op, by *core.Origin,
	values func() context.Context) (*process, error) {
	k := t.kinds[t.kindName(kind)]
	b := t.binding(k, method)
	if b == nil || b.Op != op || !b.Starts {
		p, err := t.look(part, id)
		if err == sessionproc.ErrNotFound {
			err = t.missing(kind, method, op)
		}
		return p, err
	}
	w := &zeroStart{}
	w.Task, w.OnDecided = w, func() {}
	w.Ctx = &core.Ctx{Until: t.clock.in(t.cfg.CallTimeout)}
	w.Ctx.ComesFrom(by)
	if v := values(); v != nil {
		w.Ctx.Rare().Values = v
	}
	w.Open()
	s := &core.Starter{W: &w.Waiting, Part: part, ID: id, Kind: k.Name, Placed: placed(by)}
	p, inserted, err := t.insert(s)
	if inserted {
		t.starts.enter(p, s)
	}
	return p, err
}

// A zeroStart starts a session with the zero argument. It has no caller.
type zeroStart struct{ core.Waiting }

// Run implements core.Task.
func (m *zeroStart) Run(h *core.Head, _ *core.Ctx) error {
	p := processOf(h)
	if !m.Claim() {
		p.startFailed(errGivenUp)
		return core.NoHandler{}
	}
	if p.startsAgain() {
		p.noteArgument(nil, false, true)
	}
	state, err := p.Kind.Maker.StartEncoded(m.Ctx, nil, false, true)
	p.started(&m.Waiting, state, err, new(error), m)
	return err
}

// started records the result of a start function. r answers the caller of w, which finds an error in
// *into.
//
// The session is live before r is finished: a caller that has its answer and then sends a
// message must find the session there. Starts of the same ID that waited for this one are decided
// last, without a lock.
func (p *process) started(w *core.Waiting, state any, err error, into *error, r core.Answered) {
	w.Ctx.End(core.EndedCanceled)
	if err != nil {
		*into = err
		p.startFailed(err)
		r.Finish()
		return
	}
	p.State = state
	if w.Once != nil && p.Kind.Kept {
		p.keepReply(w.Once, "", 0, core.Reply{}, false)
	}
	p.table().counts.starts.Add(1)
	p.mu.Lock()
	p.touch()
	if p.expiresLocked(p.Kind.Settings.Lifetime); p.expiry != nil {
		p.table().wheel.add(p.expiry)
	}
	p.phase, p.changed = phaseLive, true
	starts := p.takeStartsLocked()
	waits := p.Kind.Kept && p.holdStartLocked(r)
	p.mu.Unlock()
	p.table().starts.leave()
	if !waits {
		r.Finish()
	}
	for _, s := range starts {
		p.table().decideStart(s)
	}
}

// holdStartLocked holds the answer of a start. The start is the first change of the session.
func (p *process) holdStartLocked(r core.Answered) bool {
	after := p.recordsLocked().made + 1 // handlerEndsLocked counts it
	if p.cur != nil {
		p.cur.e = answered
	}
	return p.waitLocked(held{reply: r, after: after})
}

// startFailed removes from the table a session that never lived. Messages behind the start get
// ErrNotFound with the reason. The place among the starts is given back last, when the session has
// left the table.
func (p *process) startFailed(err error) {
	if err == errGivenUp {
		p.table().neverStarted(p.Kind)
	}
	o := core.Outcome{Err: fmt.Errorf("%w: its start failed: %w", sessionproc.ErrNotFound, err)}
	p.mu.Lock()
	p.cur = nil // the start itself is answered by the caller of startFailed
	p.phase = phaseEnding
	p.extra().gone = o.Err
	p.mu.Unlock()
	p.vanish(o)
	p.table().starts.leave()
}
