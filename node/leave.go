package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Leave takes the node out of the cluster in good order: it drains (see Drain),
// tells the members, and then closes its sockets. ctx bounds Leave. If ctx has no
// deadline or has ended already, DrainTimeout from now does: Leave is never abrupt. A
// fifth of the time, at most 2 s, is kept for telling the members. If sessions still move
// at the deadline, Leave goes on for up to Config.LeaveGrace, unless ctx was cancelled.
//
// Tasks that still run here at the deadline end: their sessions get a sessionproc.ErrTaskLost, or run them
// again (TaskConfig.Retry).
//
// Sessions that cannot move in time, and those of the last node, end with
// ReasonClosed after OnEnd has run for them. It does not wait for those that no
// member can have; see Drain. The error (a *DrainError in it), and the log for each kind,
// says what has ended and why; the node is closed all the same.
//
// A second Leave waits for the first, and returns the same, or an error when its ctx
// ends before: the first goes on. After a Close it waits for that, and returns nil. With
// the ctx of a handler it is an ErrCallCycle, and nothing begins; see Drain.
func (n *Node) Leave(ctx context.Context) error {
	if n == nil {
		return errNil
	}
	return n.depart(ctx, n.cfg.LeaveGrace)
}

// depart is Leave with the given grace.
func (n *Node) depart(ctx context.Context, grace time.Duration) error {
	if err := n.waitedForBy(ctx); err != nil {
		return fmt.Errorf("node: leave: %w", err)
	}
	mine := &departure{done: make(chan struct{})}
	if !n.departure.CompareAndSwap(nil, mine) {
		first := n.departure.Load()
		if err := n.awaitOther(ctx, first.done, n.stopped); err != nil {
			return err
		}
		return first.err
	}
	defer close(mine.done)
	defer n.noteTurn()
	if n.leaving.Swap(true) { // Close was first
		return n.awaitOther(ctx, n.stopped)
	}
	mine.err = n.leave(ctx, grace)
	return mine.err
}

// awaitOther waits until another Leave or Close has closed all of the channels,
// or ctx ends.
func (n *Node) awaitOther(ctx context.Context, all ...<-chan struct{}) error {
	for _, done := range all {
		select {
		case <-done:
		case <-ctx.Done():
			select {
			case <-done: // completion wins over the end of ctx
				continue
			default:
			}
			return fmt.Errorf("node: leave: another Leave or Close is in progress: %w", ctx.Err())
		}
	}
	return nil
}

// leave drains, ends the sessions that are left, tells the members, and closes the node. Every step
// runs, even after an error.
func (n *Node) leave(ctx context.Context, grace time.Duration) error {
	ctx, cancel := n.withDrainTimeout(ctx)
	defer cancel()
	n.log.Info("node is leaving", "sessions", n.table.Len())
	within, cancel := beforeFarewell(ctx)
	defer cancel()
	left := n.drain(within, false)
	if errors.Is(left, context.DeadlineExceeded) && grace > 0 && n.driver.Moves() {
		ctx, cancel = withGrace(ctx, grace)
		defer cancel()
		left = n.drainOn(ctx, left)
	}
	drained := n.abandon(ctx, left)
	ended := n.table.Shutdown(ctx, sessionproc.ReasonClosed)
	gone := n.cluster.Leave(ctx)
	closed := n.shut(ctx)
	if err := errors.Join(drained, ended, gone, closed); err != nil {
		return fmt.Errorf("node: leave: %w", err)
	}
	return nil
}

// One farewellPart-th of the time for a Leave, and at most farewellTime, is kept for telling the
// members.
const (
	farewellPart = 5
	farewellTime = 2 * time.Second

	// lastWords is how long a node waits after its deadline until the members that stay
	// know one another. Two members that do not could both take the same session.
	lastWords = time.Second
)

// beforeFarewell returns ctx with an earlier deadline, which leaves time for
// telling the members.
func beforeFarewell(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, _ := ctx.Deadline()
	return context.WithDeadline(ctx, deadline.Add(-min(time.Until(deadline)/farewellPart, farewellTime)))
}

// withGrace returns ctx with a later deadline. The result still ends if ctx is
// cancelled, but not at the deadline of ctx.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	deadline, _ := ctx.Deadline()
	longer, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(grace))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return longer, func() { stop(); cancel() }
}

// drainOn continues a drain after its deadline while sessions move. left is the
// error of that drain.
func (n *Node) drainOn(ctx context.Context, left error) error {
	n.log.Warn("the deadline of the leave has passed while sessions still move: the grace begins",
		"sessions", n.table.Len(), "grace", n.cfg.LeaveGrace)
	ctx, cancel := beforeFarewell(ctx)
	defer cancel()
	for left != nil && ctx.Err() == nil && n.driver.Moves() {
		if n.driver.NoTakers() {
			return n.left(errNoTakers)
		}
		step, cancel := context.WithTimeout(ctx, graceStep)
		left = n.awaitDrained(step, nil, false)
		cancel()
	}
	return left
}

// graceStep is how often a Leave checks after its deadline whether sessions
// still move.
const graceStep = 200 * time.Millisecond

// abandon ends the sessions that a drain has left, and returns an error that
// says so. left is the error of the drain.
func (n *Node) abandon(ctx context.Context, left error) error {
	over := n.driver.Leftovers()
	lost := n.driver.Abandon()
	switch {
	case left == nil || errors.Is(left, errNobody): // nothing is left, except marks of renewed sessions
		return nil
	case errors.Is(left, sessionproc.ErrClosed): // Close was called in the meantime
		return left
	}
	last, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	for !n.driver.MayLeave() && lifetime.Pause(last, drainStep) {
	}
	if lost == 0 {
		return n.tasksLeft(left)
	}
	for _, o := range over {
		n.log.Error("sessions end because they could not move", "kind", o.Kind, "sessions", o.Sessions, "why", o.Why)
	}
	if e, ok := left.(*DrainError); ok {
		e.Tasks, e.TaskNames = n.table.Tasks()
		e.Continues, e.Takes = false, 0
	}
	return fmt.Errorf("%w; these sessions have ended", left)
}

// Close ends the node abruptly: callers get sessionproc.ErrClosed, sessions
// vanish without OnEnd, and the other members find out by
// themselves. It waits for running handlers, whose ctxs are cancelled, up to
// StopTimeout; in a handler that is its own one, so call it in a goroutine there. A
// second Close waits for the first.
func (n *Node) Close() error {
	if n == nil {
		return errNil
	}
	n.leaving.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.StopTimeout)
	defer cancel()
	if err := n.shut(ctx); err != nil {
		return fmt.Errorf("node: close: %w", err)
	}
	return nil
}

// shut closes everything that is open, once. Later calls wait for the first.
// The order matters: the driver stops first, so that the table's sessions end
// without the Gate, and the transport closes after the table has answered all
// requests.
func (n *Node) shut(ctx context.Context) (err error) {
	if n.stop.CompareAndSwap(false, true) {
		defer close(n.stopped)
		n.mu.Lock()
		last := *n.routes.Load()
		last.Closed = true
		n.routes.Store(&last)
		n.mu.Unlock()
		close(n.quit)
		<-n.followed
		n.driver.Stop()
		n.life.End()
		n.waitlist.close()
		err = errors.Join(n.table.Close(ctx), n.transport.Close(), n.cluster.Close(), n.endpoint.Close())
		n.driver.Wait()
		n.life.Wait()
		n.log.Info("node closed")
		return err
	}
	<-n.stopped
	return nil
}
