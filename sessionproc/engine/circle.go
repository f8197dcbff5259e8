package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

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
