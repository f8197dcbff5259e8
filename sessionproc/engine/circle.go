package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
		if c == nil || c.Origin() == nil || w.Word.Load()&core.StateMask != core.StateQueued {
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

// isCalledBy is isCalledByLocked for a caller that does not hold mu.
func (p *process) isCalledBy(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isCalledByLocked(id)
}

// This file breaks circles of sessions that wait for one another: a handler of each waits for the
// next session, whose handler runs. A node knows what its own sessions wait for, and which other
// sessions wait for its own. So it sees every circle of its own sessions, every circle of two
// sessions, and every circle of three on two nodes. Larger circles end with a deadline.

// A circle must be found twice, circlePatience apart: an answer on its way from another node looks
// like a wait. Only one wait of a circle is ended, if possible, so that the other handlers go on.
const (
	circlePatience = 100 * time.Millisecond
	maxCircle      = 64 // sessions that a search visits at most
)

// A step is a wait in a search for a circle.
type step struct {
	w      *pending
	before int // the index of the previous step, or -1
}

// at returns the session that w waits for, if it is on this node. A handler may wait for a session
// of another cluster with more partitions, and the table of a Detached has no partitions at all.
func (w *pending) at() *process {
	if w.id == Labelled || w.part >= len(sessionOf(w.by).table().parts) {
		return nil
	}
	return sessionOf(w.by).table().find(w.part, w.id)
}

// circle follows the waits from w on. If they lead back to the session whose handler waits with w, it
// returns the waits of that circle that this node sees, otherwise nil.
func (w *pending) circle() []*pending {
	first := w.at()
	switch {
	case w.id == Labelled, first == nil && sessionOf(w.by).uncalled(), first != nil && !first.waitsToo():
		return nil
	}
	steps := w.steps()
	waiters := w.by.Chain()
	for i, s := range steps {
		if i > 0 && slices.Contains(waiters, s.w.id) {
			return way(steps, i)
		}
	}
	for i, s := range steps {
		if s.w.at() == nil && isAwaitedBy(w.by, s.w.id) {
			return way(steps, i)
		}
	}
	return nil
}

// steps returns w and the waits to which it leads, nearest first. It holds one session's mu at a
// time, so what it returns may be out of date; suspect searches twice because of that.
func (w *pending) steps() []step {
	steps := []step{{w, -1}}
	for i := 0; i < len(steps) && len(steps) < maxCircle; i++ {
		p := steps[i].w.at()
		if p == nil {
			continue
		}
		p.mu.Lock()
		for _, next := range p.waitsLocked() {
			if !slices.ContainsFunc(steps, func(s step) bool { return s.w.id == next.id }) {
				steps = append(steps, step{next, i})
			}
		}
		p.mu.Unlock()
	}
	return steps
}

// leadsTo reports whether w waits, directly or through other sessions, for one of ids.
func (w *pending) leadsTo(ids []string) bool {
	return slices.ContainsFunc(w.steps(), func(s step) bool { return slices.Contains(ids, s.w.id) })
}

// way returns the waits that lead to a step.
func way(steps []step, i int) (all []*pending) {
	for ; i >= 0; i = steps[i].before {
		all = append(all, steps[i].w)
	}
	slices.Reverse(all)
	return all
}

// waitsLocked returns the waits of the session's handler.
func (p *process) waitsLocked() (all []*pending) {
	if p.ext == nil {
		return nil
	}
	for _, w := range p.ext.rarely().pending {
		if w.id != Labelled && w.lastsLocked() {
			all = append(all, w)
		}
	}
	return all
}

func (p *process) waitsToo() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waitsLocked()) > 0
}

// uncalled reports whether no message waits for the handler that runs.
func (p *process) uncalled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.head == nil && !p.lined && (p.ext == nil || len(p.ext.rarely().starts) == 0 && p.ext.sealing == nil)
}

// isAwaitedBy reports whether session id, on another node, waits for the work that is done with c,
// or for a session of this node that waits for it.
func isAwaitedBy(c *core.Ctx, id string) bool {
	var all []*process
	found := false
	add := func(c *core.Ctx) {
		for ; c != nil; c = c.From() {
			if !slices.Contains(all, sessionOf(c)) {
				all = append(all, sessionOf(c))
			}
		}
	}
	add(c)
	for i := 0; i < len(all) && i < maxCircle && !found; i++ {
		all[i].mu.Lock()
		all[i].callersLocked(func(ids []string, from *core.Ctx) bool {
			found = slices.Contains(ids, id)
			add(from)
			return !found
		})
		all[i].mu.Unlock()
	}
	return found
}

// suspect ends the wait w if it is part of a circle now and still is after w.patience.
func (w *pending) suspect() {
	circle := w.circle()
	if circle == nil {
		return
	}
	p := sessionOf(w.by)
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.again != nil || !slices.Contains(p.ext.rarely().pending, w) {
		return
	}
	w.again = time.AfterFunc(w.patience(circle), func() {
		if slices.Equal(w.circle(), circle) {
			w.end(circleError(p.ID, circle))
			return
		}
		p.mu.Lock()
		w.again = nil
		p.mu.Unlock()
	})
}

// patience returns how long w is suspected. The wait of the session with the highest ID ends first,
// so that two nodes which see the same circle do not break it at two places.
func (w *pending) patience(circle []*pending) time.Duration {
	for _, o := range circle {
		if o.id > sessionOf(w.by).ID {
			return 2 * circlePatience
		}
	}
	return circlePatience
}

// circleError returns an ErrCallCycle that names the sessions of a circle, beginning with id.
func circleError(id string, circle []*pending) error {
	names := []string{sessionproc.LogID(id)}
	for _, w := range circle {
		if w.id != id {
			names = append(names, sessionproc.LogID(w.id))
		}
	}
	last := len(names) - 1
	each := "wait for one another"
	if last == 1 {
		each = "wait for each other"
	}
	return fmt.Errorf("%w: sessions %s and %s %s", sessionproc.ErrCallCycle, strings.Join(names[:last], ", "),
		names[last], each)
}

// Labelled, as an ID, makes Pending wait for the end of all sessions with a label.
const Labelled = ""
