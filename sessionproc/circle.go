package sessionproc

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sessions that wait for one another form a circle: a handler of each waits for the next
// one, whose handler runs. A node sees the waits of its own sessions, and those of
// others for its own. So it sees every circle of sessions of its own, all of two
// sessions, and all of three on two nodes. What it does not see ends with its deadline.

// A circle is looked at twice, so that what was an answer on its way is no circle. It is
// broken at one place where it can be, so that the others go on.
const (
	circlePatience = 100 * time.Millisecond
	maxCircle      = 64 // sessions that are looked at
)

// step is a wait on the way along a circle.
type step struct {
	w      *pending
	before int // index of the step that led here; -1: none
}

// at returns the session that is waited for, if it is on this node. A handler may wait for
// one of another cluster, whose partitions are others, and one without a node, as package
// nodetest makes it, has none.
func (w *pending) at() *process {
	if w.id == Labelled || w.part >= len(w.by.p.table.parts) {
		return nil
	}
	return w.by.p.table.find(w.part, w.id)
}

// circle follows who waits for whom from w to the session whose handler waits with w. It
// returns the waits on the way that this node sees; nil: there is no such way.
func (w *pending) circle() []*pending {
	first := w.at()
	switch {
	case w.id == Labelled, first == nil && w.by.p.uncalled(), first != nil && !first.waitsToo():
		return nil
	}
	steps := w.steps()
	waiters := w.by.chain()
	for i, s := range steps {
		if i > 0 && slices.Contains(waiters, s.w.id) {
			return way(steps, i)
		}
	}
	for i, s := range steps {
		if s.w.at() == nil && w.by.isAwaitedBy(s.w.id) {
			return way(steps, i)
		}
	}
	return nil
}

// steps returns the waits that w leads to, nearest first. It begins with w.
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

// leadsTo reports whether w waits, maybe by way of others, for one of some sessions.
func (w *pending) leadsTo(ids []string) bool {
	return slices.ContainsFunc(w.steps(), func(s step) bool { return slices.Contains(ids, s.w.id) })
}

// way returns the waits that have led to a step.
func way(steps []step, i int) (all []*pending) {
	for ; i >= 0; i = steps[i].before {
		all = append(all, steps[i].w)
	}
	slices.Reverse(all)
	return all
}

// waitsLocked returns what the session's handler waits for.
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

// isAwaitedBy reports whether a session of another node waits for what is done with c,
// or for a session of this node that does.
func (c *handlerCtx) isAwaitedBy(id string) bool {
	var all []*process
	found := false
	add := func(c *handlerCtx) {
		for ; c != nil; c = c.from() {
			if !slices.Contains(all, c.p) {
				all = append(all, c.p)
			}
		}
	}
	add(c)
	for i := 0; i < len(all) && i < maxCircle && !found; i++ {
		all[i].mu.Lock()
		all[i].callersLocked(func(ids []string, from *handlerCtx) bool {
			found = slices.Contains(ids, id)
			add(from)
			return !found
		})
		all[i].mu.Unlock()
	}
	return found
}

// suspect ends the wait if it is part of a circle, and still is after a while.
func (w *pending) suspect() {
	circle := w.circle()
	if circle == nil {
		return
	}
	p := w.by.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.again != nil || !slices.Contains(p.ext.rarely().pending, w) {
		return
	}
	w.again = time.AfterFunc(w.patience(circle), func() {
		if slices.Equal(w.circle(), circle) {
			w.end(circleError(p.id, circle))
			return
		}
		p.mu.Lock()
		w.again = nil
		p.mu.Unlock()
	})
}

// patience is for how long w is suspected: one in the circle before all others.
func (w *pending) patience(circle []*pending) time.Duration {
	for _, o := range circle {
		if o.id > w.by.p.id {
			return 2 * circlePatience
		}
	}
	return circlePatience
}

// circleError names the sessions of a circle that begins with session id.
func circleError(id string, circle []*pending) error {
	names := []string{LogID(id)}
	for _, w := range circle {
		if w.id != id {
			names = append(names, LogID(w.id))
		}
	}
	last := len(names) - 1
	each := "wait for one another"
	if last == 1 {
		each = "wait for each other"
	}
	return fmt.Errorf("%w: sessions %s and %s %s", ErrCallCycle, strings.Join(names[:last], ", "), names[last], each)
}
