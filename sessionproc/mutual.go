package sessionproc

import (
	"context"
	"fmt"
	"slices"
)

// Two handlers that wait for each other's sessions are no cycle in a chain of calls, as
// neither has begun for the other. A handler that waits for a start, a renewal or a
// subscription is known to its session, so that whichever comes second is told, or tells
// the first one. Calls are not: theirs would be the price of each call of a handler, and
// their error says in the end what they waited for.

// pending is what a handler waits for.
type pending struct {
	id     string // the session
	cancel context.CancelCauseFunc
}

// Labelled stands in Pending for all sessions with a label, which are ended.
const Labelled = ""

// endsLabelled reports whether the session's handler waits for the end of sessions with a
// label.
func (p *process) endsLabelled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ext != nil && slices.ContainsFunc(p.ext.pending, func(w *pending) bool { return w.id == Labelled })
}

// Pending is called before the handler that ctx belongs to waits for session id, and done
// when it does not any more. The ctx that it returns is cancelled, with an ErrCallCycle as
// its cause, when that session comes to wait for the handler; the error is that if it
// does already. Where ctx is no handler's it does nothing. It serves package node.
func Pending(ctx context.Context, id string) (waiting context.Context, done func(), err error) {
	from := calling(ctx)
	if from == nil {
		return ctx, func() {}, nil
	}
	p := from.p
	waiting, cancel := context.WithCancelCause(ctx)
	w := &pending{id, cancel}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id != id && p.isCalledByLocked(id) {
		cancel(nil)
		return ctx, func() {}, mutualWait(p.id, id)
	}
	x := p.extra()
	x.pending = append(x.pending, w)
	return waiting, func() {
		p.mu.Lock()
		x.pending = slices.DeleteFunc(x.pending, func(o *pending) bool { return o == w })
		p.mu.Unlock()
		cancel(nil)
	}, nil
}

func mutualWait(a, b string) error {
	return fmt.Errorf("%w: sessions %s and %s wait for each other", ErrCallCycle, LogID(a), LogID(b))
}

// awaited is told that the sessions of a chain have come to wait for this one.
func (p *process) awaited(chain []string) {
	if len(chain) == 0 {
		return
	}
	var told []*pending
	p.mu.Lock()
	if p.ext != nil {
		for _, w := range p.ext.pending {
			if slices.Contains(chain, w.id) {
				told = append(told, w)
			}
		}
	}
	p.mu.Unlock()
	for _, w := range told {
		w.cancel(mutualWait(p.id, w.id))
	}
}

// isCalledByLocked reports whether a request of session id waits here, or of one that it
// waits for: for the handler that runs here, and waits for session id.
func (p *process) isCalledByLocked(id string) bool {
	for e := p.head; e != nil; e = e.next {
		if slices.Contains(e.ctx.waiters(), id) {
			return true
		}
	}
	for s := p.ext.firstInLine(); s != nil; s = s.next {
		if slices.Contains(s.e.ctx.waiters(), id) {
			return true
		}
	}
	if p.ext == nil {
		return false
	}
	for _, s := range p.ext.starts {
		if slices.Contains(s.w.ctx.waiters(), id) {
			return true
		}
	}
	return p.ext.sealing != nil && slices.Contains(p.ext.sealing.chain, id)
}
