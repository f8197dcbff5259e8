package engine

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A place represents the sender of a cast on this node while it waits for a place in the
// mailbox. The cast itself has no word: nothing waits for its handler. So a waiting of its own
// carries the decision whether the cast has entered, or is not to.
type place struct{ core.Waiting }

// Run is never called: the cast itself enters the mailbox.
func (*place) Run(*core.Head, *core.Ctx) error { return core.NoHandler{} }

// pushCast is push for a cast of this node. If the mailbox is full, it waits in the line until
// ctx ends or, without a deadline, for CastPatience. A handler that casts to a session which
// waits for this handler gets errSelf at once, since the room that it would wait for cannot come.
func (p *process) pushCast(ctx context.Context, e *core.Envelope) error {
	p.table().carryAlong(ctx, e)
	err := p.push(e)
	if err != errNoPlace {
		return err
	}
	if from := core.Calling(ctx); from != nil && from.CheckChain(p.ID) != nil {
		return p.refused(e, errSelf)
	}
	c := &place{}
	c.Task, c.Done = c, make(chan struct{}, 2)
	c.Open()
	s := &core.Stand{Envelope: e, Waiting: &c.Waiting, OnEntered: c.Finish}
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
	if c.Expect() {
		select {
		case <-c.Done:
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

// decided returns the outcome of a cast that has left the line: nil if it entered the mailbox,
// else the error with which the session ended or moved. It must receive the signal of an end
// before it reads c.end, which is written between the change of the word and the signal.
func (c *place) decided(signalled bool) error {
	if c.Expect() {
		<-c.Done
		signalled = true
	}
	if c.Word.Load()&core.StateMask != core.StateEnded {
		return nil
	}
	if !signalled {
		<-c.Done // after this, c.end is written
	}
	return c.End.Err
}

// lineUpFor puts the cast of a request from another node into the line. in itself represents the
// sender there.
func (p *process) lineUpFor(in *Inbound, e *core.Envelope) {
	in.Ctx = &core.Ctx{Head: &p.Head}
	in.opened()
	if err := p.lineUp(&core.Stand{Envelope: e, Waiting: &in.Waiting, OnEntered: in.entered}); err != nil {
		if _, ok := in.Abandon(); ok { // otherwise Cancel has answered
			in.Answer.Fail(err, false, false)
		}
	}
}

// entered acknowledges a cast that has entered the mailbox.
func (in *Inbound) entered() {
	if in.Move(core.StateRunning, core.StateReplied) {
		in.Answer.Ack()
	}
}
