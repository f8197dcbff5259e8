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

// A turn says where a session stands in the queue of starts. starts.mu guards it.
type turn uint8

const (
	turnNone  turn = iota // not in the queue yet, or came from another node
	turnWaits             // in the queue
	turnTaken             // needs no turn, or has had it
)

// holdsPlace reports whether a start function, on this node or on another one, waits for the work
// that is done with c. c may be nil.
func holdsPlace(c *core.Ctx) bool { return c != nil && (sessionOf(c).starts() || placed(c.Origin)) }

// placed is holdsPlace for an origin.
func placed(o *core.Origin) bool { return o != nil && (o.Placed || holdsPlace(o.From)) }

// HoldsPlace reports whether ctx belongs to a start function, or to a handler that a start
// function waits for. A request made with such a ctx must not wait for a place to start. It serves
// package node, which sends this along with the request.
func HoldsPlace(ctx context.Context) bool { return holdsPlace(core.Calling(ctx)) }

// waitingFor returns the origin of work for a message to session id whose caller waits with ctx, or
// nil if the caller is no handler. It returns ErrCallCycle if the session would wait for itself.
func waitingFor(ctx context.Context, id string) (*core.Origin, error) {
	from := core.Calling(ctx)
	if from == nil {
		return nil, nil
	}
	return &core.Origin{From: from}, from.CheckChain(id)
}

// waitingFor returns the origin of work for a call in its encoded form, or nil.
func (in *Inbound) waitingFor() *core.Origin {
	if in.Op != core.OpCall || len(in.Chain) == 0 {
		return nil
	}
	return &core.Origin{Chain: in.Chain, Placed: in.Placed}
}

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
