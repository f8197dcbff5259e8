package sessionproc

import "context"

// Exchange puts w into the mailbox of a session and waits for its outcome. ok means that the handler's
// result is in the message; otherwise o says why not.
func (t *Table) Exchange(ctx context.Context, h *Head, b *binding, w *waiting) (o outcome, ok bool) {
	p, from := processOf(h), calling(ctx)
	begins, err := t.enter(ctx, from, p, b, w)
	switch {
	case err != nil:
		return outcome{err: err}, false
	case from != nil:
		o, ok = awaitNested(ctx, from, p, w, begins)
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
		if err := from.checkChain(p.ID); err != nil {
			return false, err
		}
	}
	w.ctx = w.nextCtx()
	w.ctx.Head = &p.Head
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
	} else if holdsPlace(from) {
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
