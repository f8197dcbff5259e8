package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Leave takes the node out of the cluster in good order: Ready becomes an
// error, the sessions move to the members that stay, the members are told, and
// then the sockets close. It is bounded by ctx, or by DrainTimeout from now if
// ctx has no deadline or has ended already: it is never abrupt. Sessions that
// cannot move in time, and those of the last node, end with reason Closed after
// their Terminate methods have run. The error says what was not done in time;
// the node is closed all the same. A second Leave waits for the first.
func (n *Node) Leave(ctx context.Context) error {
	if n.leaving.Swap(true) {
		select {
		case <-n.stopped:
		case <-ctx.Done():
		}
		return nil
	}
	if _, bounded := ctx.Deadline(); !bounded || ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), n.cfg.DrainTimeout)
		defer cancel()
	}
	n.log.Info("node leaves", "sessions", n.table.Len())
	drained := n.drain(ctx)
	ended := n.table.Shutdown(ctx, sessionproc.Closed)
	left := n.cluster.Leave(ctx)
	closed := n.shut(ctx)
	if err := errors.Join(drained, ended, left, closed); err != nil {
		return fmt.Errorf("node: leave: %w", err)
	}
	return nil
}

// farewellPart of the time for a Leave, and at most farewellTime, is kept for
// telling the members.
const (
	farewellPart = 5
	farewellTime = 2 * time.Second
	drainStep    = 5 * time.Millisecond

	// newsTime is how long a node that leaves waits to hear of one that stays,
	// while others leave too: they may have heard of it earlier. Gossip tells
	// everybody within about a second.
	newsTime = time.Second
)

// drain has the sessions of this node move to others, until they have or too
// little time is left.
func (n *Node) drain(ctx context.Context) error {
	if err := n.cluster.SetState(cluster.Draining); err != nil {
		return err
	}
	n.reroute(n.cluster.View())
	deadline, _ := ctx.Deadline()
	within, cancel := context.WithDeadline(ctx, deadline.Add(-min(time.Until(deadline)/farewellPart, farewellTime)))
	defer cancel()
	for begun := time.Now(); n.othersMayServe(time.Since(begun)) && !n.driver.mayLeave(); {
		if !pause(within, drainStep) {
			break
		}
	}
	lost := n.driver.abandon()
	if lost > 0 && n.othersServe() {
		return fmt.Errorf("%d sessions could not move in time and have ended", lost)
	}
	return nil
}

func (n *Node) othersServe() bool {
	for _, m := range n.cluster.View().Serving() {
		if m.Name() != n.self.Name() {
			return true
		}
	}
	return false
}

// othersMayServe reports whether sessions have another place to go to, or can
// expect one: a node that joins will serve.
func (n *Node) othersMayServe(waited time.Duration) bool {
	others := false
	for _, m := range n.cluster.View().Members {
		switch {
		case m.Name() == n.self.Name():
		case m.State != cluster.Draining:
			return true
		default:
			others = true
		}
	}
	return others && waited < newsTime
}

func (d *driver) mayLeave() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.parts {
		d.countLocked(i)
	}
	return d.m.MayLeave()
}

// abandon ends what is left here and was not sent, and returns how many
// sessions that were.
func (d *driver) abandon() int {
	d.turn(ownership.NoPartition, func(m *ownership.Machine) []ownership.Effect {
		d.abandoned = true
		return m.Abandon()
	})
	return int(d.ended.Load())
}

// Close ends the node abruptly: callers get sessionproc.ErrClosed, sessions
// vanish without their Terminate methods, and the other members find out by
// themselves. It waits for running handlers, whose ctxs are cancelled, up to
// StopTimeout. A second Close waits for the first.
func (n *Node) Close() error {
	n.leaving.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.StopTimeout)
	defer cancel()
	if err := n.shut(ctx); err != nil {
		return fmt.Errorf("node: close: %w", err)
	}
	return nil
}

// shut closes what is open, once; later calls wait for the first.
func (n *Node) shut(ctx context.Context) (err error) {
	if n.stop.CompareAndSwap(false, true) {
		defer close(n.stopped)
		n.mu.Lock()
		last := *n.routes.Load()
		last.closed = true
		n.routes.Store(&last)
		n.mu.Unlock()
		close(n.quit)
		<-n.followed
		n.driver.stop()
		err = errors.Join(n.table.Close(ctx), n.transport.Close(), n.cluster.Close(), n.endpoint.Close())
		n.driver.wait.Wait()
		n.log.Info("node closed")
		return err
	}
	<-n.stopped
	return nil
}

// undo closes what a failed Start has opened.
func (n *Node) undo() {
	if n.follows {
		close(n.quit)
		<-n.followed
	}
	if n.driver != nil {
		n.driver.stop()
		defer n.driver.wait.Wait()
	}
	if n.table != nil {
		_ = n.table.Close(context.Background()) // there are no sessions yet
	}
	if n.transport != nil {
		_ = n.transport.Close()
	}
	if n.cluster != nil {
		_ = n.cluster.Close()
	}
	if n.endpoint != nil {
		_ = n.endpoint.Close()
	}
}
