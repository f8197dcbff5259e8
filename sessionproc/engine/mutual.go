package engine

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// This file records what handlers wait for. Two handlers that wait for each other's sessions form no
// cycle in a chain of calls, since neither call has begun. So each session knows the waits of its
// handler, and the second of the two waits finds the first one. A call that is answered before its
// caller must wait records nothing, so short calls cost no more.

// A pending is one wait of a handler.
type pending struct {
	by         *core.Ctx
	part       int
	id         string // the session
	cancel     context.CancelCauseFunc
	w          *core.Waiting // for a call on this node, in place of cancel
	generation uint64        // of w
	again      *time.Timer   // guarded by the handler's session's mu; see suspect
	broken     atomic.Bool   // end was called; see breaks
}

// Labelled, as an ID, makes Pending wait for the end of all sessions with a label.
const Labelled = ""

// endsLabelled reports whether the session's handler waits for the end of sessions with a label.
func (p *process) endsLabelled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.ext.rarely().pending, func(w *pending) bool { return w.id == Labelled })
}

// Pending records that the handler to which ctx belongs waits for session id of a partition. The
// caller must call done at the end of the wait. The ctx that Pending returns is cancelled, with an
// ErrCallCycle as its cause, when that session comes to wait for the handler. Pending returns
// ErrCallCycle if the session does so already. If ctx does not belong to a handler, Pending does
// nothing. It serves package node.
func Pending(ctx context.Context, part int, id string) (waiting context.Context, done func(), err error) {
	from := core.Calling(ctx)
	if from == nil {
		return ctx, func() {}, nil
	}
	if sessionOf(from).ID != id && sessionOf(from).isCalledBy(id) {
		return ctx, func() {}, circleError(sessionOf(from).ID, []*pending{{id: id}})
	}
	waiting, cancel := context.WithCancelCause(ctx)
	over := waits(from, &pending{part: part, id: id, cancel: cancel})
	return waiting, func() { over(); cancel(nil) }, nil
}

// EndedByCycle returns the ErrCallCycle that has ended a ctx of Pending and so caused err, or nil. It
// serves package node.
func EndedByCycle(waiting context.Context, err error) error {
	if cycle := context.Cause(waiting); err != nil && errors.Is(cycle, sessionproc.ErrCallCycle) {
		return cycle
	}
	return nil
}

// waits records a wait of the handler until over is called.
func waits(c *core.Ctx, w *pending) (over func()) {
	w.by = c
	p := sessionOf(c)
	p.mu.Lock()
	x := p.extra().rarities()
	x.pending = append(x.pending, w)
	p.mu.Unlock()
	w.suspect()
	return func() {
		p.mu.Lock()
		x.pending = slices.DeleteFunc(x.pending, func(o *pending) bool { return o == w })
		if w.again != nil {
			w.again.Stop()
		}
		p.mu.Unlock()
	}
}

// awaitNested is await for a handler's call to session p.
func awaitNested(
	ctx context.Context, c *core.Ctx, p *process, w *core.Waiting, begins bool,
) (o core.Outcome, ok bool) {
	if begins {
		<-w.Done
	}
	if w.Expect() {
		defer waits(c, &pending{part: int(p.part), id: p.ID, w: w, generation: w.Generation()})()
	}
	return w.Await(ctx, false)
}

// lastsLocked reports whether the handler still waits. A wait of a goroutine that the handler of a
// cast has left behind does not count.
func (w *pending) lastsLocked() bool {
	if p := sessionOf(w.by); p.cur == nil && p.act == w.by {
		return false
	}
	if w.w == nil {
		return !w.broken.Load()
	}
	word := w.w.Word.Load()
	state := word & core.StateMask
	return word>>core.StateBits == w.generation && (state == core.StateQueued || state == core.StateRunning)
}

// end ends the wait with err, unless the answer has come.
func (w *pending) end(err error) {
	w.broken.Store(true)
	if w.w == nil {
		w.cancel(err)
		return
	}
	w.w.EndExchange(w.generation, core.Outcome{Err: err})
}

// breaks ends w, which is part of a circle with the sessions of a chain. Two handlers that
// find the circle at the same moment must not both end their waits: the second one sees
// that the next wait of the circle is broken, and looks again later.
func (w *pending) breaks(chain []string) {
	p := sessionOf(w.by)
	p.table().circles.Lock()
	defer p.table().circles.Unlock()
	if next := w.at(); next != nil && next.broke(append([]string{p.ID}, chain...)) {
		w.suspect()
		return
	}
	w.end(circleError(p.ID, []*pending{w}))
}

// broke reports whether a wait of the handler for one of some sessions was ended just now.
func (p *process) broke(ids []string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.ext.rarely().pending, func(w *pending) bool {
		return w.broken.Load() && slices.Contains(ids, w.id)
	})
}

// awaited is called when the sessions of a chain have come to wait for this one.
func (p *process) awaited(chain []string) {
	if len(chain) == 0 {
		return
	}
	p.mu.Lock()
	all := p.waitsLocked()
	p.mu.Unlock()
	for _, w := range all {
		switch {
		// An answer that is there wins here. One from another node may still be on its way.
		case slices.Contains(chain, w.id) && w.at() != nil:
			w.breaks(chain)
		case w.leadsTo(chain):
			w.suspect()
		}
	}
}

// callersLocked calls yield for each request that waits for the handler which runs here, with the
// IDs of the sessions that wait for the request, and with the handler that made it if that is on
// this node. It stops when yield returns false.
func (p *process) callersLocked(yield func(ids []string, from *core.Ctx) bool) {
	of := func(w *core.Envelope) bool {
		c := w.Ctx
		if c == nil || c.Origin == nil || w.Word.Load()&core.StateMask != core.StateQueued {
			return true
		}
		return yield(c.Waiters(), c.From())
	}
	for e := p.head; e != nil; e = e.Next {
		if !of(e) {
			return
		}
	}
	for s := p.ext.firstInLine(); s != nil; s = s.Next {
		if !of(s.Envelope) {
			return
		}
	}
	if p.ext == nil {
		return
	}
	for _, s := range p.ext.rarely().starts {
		if !of(&s.W.Envelope) {
			return
		}
	}
	if p.ext.sealing != nil {
		yield(p.ext.sealing.chain, nil)
	}
}

// isCalledByLocked reports whether a request of session id waits here, or of one that it
// waits for: for the handler that runs here, and waits for session id.
func (p *process) isCalledByLocked(id string) (called bool) {
	p.callersLocked(func(ids []string, _ *core.Ctx) bool {
		called = slices.Contains(ids, id)
		return !called
	})
	return called
}
