package sessionproc

import "context"

// A start function holds one of MaxStarting places while it runs, and it may wait for
// other sessions meanwhile: it starts them, calls them, or has one renewed. If what it
// waits for waited for a place in its turn, start functions that hold all places would
// wait for one another until their deadlines. So whatever a start function waits for
// takes no turn: a start that is made by it, or by a handler that works for it, begins
// at once, and one that waits for its turn already begins when a start function comes
// to wait for it. It is counted all the same, so that no other start takes its place
// when it has run. How deep such starts nest is bounded as the chain of calls is.

// turn is where a session stands in the line of those that start.
type turn uint8

const (
	turnNone  turn = iota // it is not in the line yet, or came from another node
	turnWaits             // it is in the queue
	turnTaken             // it needs no turn, or has had it
)

// holdsPlace reports whether a start function waits for what is done with c, on this
// node or on another one. A nil c is that of nobody.
func (c *handlerCtx) holdsPlace() bool { return c != nil && (c.p.starts() || c.origin.holdsPlace()) }

func (o *origin) holdsPlace() bool { return o != nil && (o.placed || o.from.holdsPlace()) }

// HoldsPlace reports whether ctx is that of a start function, or of a handler that a
// start function waits for, so that what is asked for with it must not wait for a place
// to start. It serves package node, which has it travel.
func HoldsPlace(ctx context.Context) bool { return calling(ctx).holdsPlace() }

// waitingFor is the origin of what is done for a message to session id that somebody
// waits for with ctx; nil: no handler does. ErrCallCycle if it would wait for itself.
func waitingFor(ctx context.Context, id string) (*origin, error) {
	from := calling(ctx)
	if from == nil {
		return nil, nil
	}
	return &origin{from: from}, from.checkChain(id)
}

// waitingFor is that of a call in its encoded form.
func (in *Inbound) waitingFor() *origin {
	if in.Op != OpCall || len(in.Chain) == 0 {
		return nil
	}
	return &origin{chain: in.Chain, placed: in.Placed}
}

// starts reports whether the session's start function waits or runs.
func (p *process) starts() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase == phaseStarting
}

// overtake has a session start now, if it waits for its turn or will.
func (s *starts) overtake(p *process) {
	s.mu.Lock()
	waits := p.turn == turnWaits
	if p.turn = turnTaken; waits {
		s.running++ // it stays in the queue, where leave passes over it
	}
	s.mu.Unlock()
	if waits {
		p.table.workers.run(p, nil)
	}
}
