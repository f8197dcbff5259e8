package sessionproc

import (
	"context"
	"time"
)

// place is who waits on this node for the place of a cast.
type place struct{ waiting }

// run is never called: the cast itself comes into the mailbox.
func (*place) run(*process) error { return noHandler{} }

// pushCast is push for a cast of this node, whose sender waits for its place.
func (p *process) pushCast(ctx context.Context, e *envelope) error {
	err := p.push(e)
	if err != errNoPlace {
		return err
	}
	if from := calling(ctx); from != nil && from.checkChain(p.id) != nil {
		return p.refused(e, errSelf)
	}
	c := &place{}
	c.op, c.done = c, make(chan struct{}, 2)
	c.open()
	s := &stand{e: e, w: &c.waiting, told: c.finish}
	if err := p.lineUp(s); err != nil {
		return err
	}
	var late <-chan time.Time
	if _, has := ctx.Deadline(); !has {
		timer := time.NewTimer(CastPatience)
		defer timer.Stop()
		late = timer.C
	}
	signalled := false
	if c.expect() {
		select {
		case <-c.done:
			signalled = true
		case <-ctx.Done():
		case <-late:
		}
	}
	if ahead, stood := p.leaveLine(s); stood {
		return p.refused(e, inVain(ctx.Err(), ahead))
	}
	return c.decided(signalled)
}

// decided returns what has become of a cast that is in the mailbox, or whose session
// has ended or moved.
func (c *place) decided(signalled bool) error {
	if c.expect() {
		<-c.done
		signalled = true
	}
	if c.word.Load()&stateMask != stateEnded {
		return nil
	}
	if !signalled {
		<-c.done // its end is written before
	}
	return c.end.err
}

// lineUpFor has a cast of in wait for its place.
func (p *process) lineUpFor(in *Inbound, e *envelope) {
	in.ctx = &handlerCtx{p: p}
	in.opened()
	if err := p.lineUp(&stand{e: e, w: &in.waiting, told: in.entered}); err != nil {
		if _, ok := in.abandon(); ok { // else Cancel has answered
			in.Answer.Fail(err, false, false)
		}
	}
}

// entered tells the sender of a cast that it is in the mailbox.
func (in *Inbound) entered() {
	if in.move(stateRunning, stateReplied) {
		in.Answer.Ack()
	}
}

// armLineLocked has in answered in time while it stands in the line. One of this node
// has a caller here, who knows when his ctx ends.
func (p *process) armLineLocked(s *stand, in *Inbound) {
	wait, why := time.Duration(-1), error(nil)
	if in.Peer != "" && !in.Deadline.IsZero() {
		wait, why = max(0, time.Until(in.Deadline)), context.DeadlineExceeded
		wait -= min(answerAhead, wait/10)
	}
	if in.Op == OpCast && !in.Patient && (wait < 0 || wait > CastPatience) {
		wait, why = CastPatience, nil
	}
	if wait < 0 {
		return
	}
	generation := in.generation()
	s.timer = time.AfterFunc(wait, func() {
		if ahead, stood := p.leaveLine(s); stood {
			in.endExchange(generation, outcome{err: p.refused(s.e, inVain(why, ahead))})
		}
	})
}
