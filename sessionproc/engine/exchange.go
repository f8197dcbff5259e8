package engine

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Exchange puts w into the mailbox of a session and waits for its outcome. ok means that the handler's
// result is in the message; otherwise o says why not.
func (t *Table) Exchange(ctx context.Context, h *core.Head, b *core.Binding, w *core.Waiting) (o core.Outcome,
	ok bool) {
	p := processOf(h)
	var from *core.Ctx
	if found := core.Found(ctx); found != nil {
		from = asking(found, h.ID, b, w)
	}
	begins, err := t.enter(ctx, from, p, b, w)
	switch {
	case err != nil:
		return core.Outcome{Err: err}, false
	case from != nil:
		o, ok = awaitNested(ctx, from, p, w, begins)
	default:
		o, ok = w.Await(ctx, begins)
	}
	if !ok {
		o = p.gaveUp(from, w, o)
	}
	return o, ok
}

// enter puts w into the mailbox of p, for a caller that then waits with ctx. from is the handler
// that calls, or nil. begins is a parameter of Waiting.Await.
//
// Limit comes before Open and Arm after put: the timer's function reads the deadline of whatever
// exchange is open (see core.Waiting). awaited comes last, when the message is in the mailbox,
// so that two sessions which call each other see at least one of the two messages.
func (t *Table) enter(
	ctx context.Context, from *core.Ctx, p *process, b *core.Binding, w *core.Waiting,
) (begins bool, err error) {
	if from != nil {
		if err := from.CheckChain(p.ID); err != nil {
			return false, err
		}
	}
	w.Ctx = w.NextCtx()
	w.Ctx.Head = &p.Head
	w.Limit(t.inherit(ctx, from, w.Ctx, b))
	if w.Once != nil {
		if err := p.keyed(w.Ctx, w.Once, b); err != nil {
			return false, err
		}
	}
	w.NoUse = b != nil && b.Settings.NoTouch
	w.ReadOnly = b != nil && b.Settings.ReadOnly
	w.AtOnce = b != nil && b.Settings.NoWait
	w.Open()
	if begins, err = p.put(&w.Envelope); err != nil {
		w.Close()
		return false, err
	}
	if begins {
		t.workers.run(p, w)
	} else if holdsPlace(from) {
		t.starts.overtake(p)
	}
	if from != nil {
		p.awaited(from.Chain())
	}
	w.Arm()
	return begins, nil
}

// inherit fills a handler's ctx with what it has of its caller's: the deadline, the chain of
// calls, and the values that Inject and Extract let through. If the caller's ctx has no deadline,
// inherit chooses one and returns it as limit, for Waiting.Limit to enforce. Otherwise limit is
// 0: the caller's ctx itself ends the wait.
func (t *Table) inherit(ctx context.Context, from *core.Ctx, h *core.Ctx, b *core.Binding) (limit int64) {
	if from != nil {
		h.Rare().From = from
	}
	if t.cfg.Inject != nil {
		if values := t.carry(ctx); values != nil {
			h.Rare().Values = values
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		h.Until = core.SinceEpoch(deadline)
		return 0
	}
	h.Until = t.clock.in(b.Timeout(t.cfg.CallTimeout))
	return h.Until
}
