package engine

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// This file keeps start functions from waiting for one another's places.
//
// A start function holds one of MaxStarting places while it runs, and it may wait for other
// sessions meanwhile: it starts them, calls them, or renews one. If those sessions needed a place
// too, start functions that hold all places would wait for one another until their deadlines. So
// a session that a start function waits for needs no turn. A start that is made by the start
// function, or by a handler that it waits for, begins at once. A start that waits for its turn
// already begins when a start function comes to wait for it. Such starts are counted all the
// same, so that the total comes down to max before the queue moves on. The bound on the chain of
// calls also bounds how deep they nest.

// holdsPlace reports whether a start function, on this node or on another one, waits for the work
// that is done with c. c may be nil.
func holdsPlace(c *core.Ctx) bool { return c != nil && (sessionOf(c).starts() || placed(c.Origin())) }

// placed is holdsPlace for an origin.
func placed(o *core.Origin) bool { return o != nil && (o.Placed || holdsPlace(o.From)) }

// HoldsPlace reports whether ctx belongs to a start function, or to a handler that a start
// function waits for. A request made with such a ctx must not wait for a place to start. It serves
// package node, which sends this along with the request.
func HoldsPlace(ctx context.Context) bool { return holdsPlace(core.Calling(ctx)) }

// starts reports whether the session's start function waits for its turn or runs.
func (p *process) starts() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase == phaseStarting
}

// overtake starts a session out of turn, if it waits for its turn or is about to.
func (s *starts) overtake(p *process) {
	s.mu.Lock()
	waits := p.turn == turnWaits
	if p.turn = turnTaken; waits {
		s.running++ // p stays in the queue, where leave skips it
	}
	s.mu.Unlock()
	if waits {
		p.table().workers.run(p, nil)
	}
}
