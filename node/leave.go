package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Leave takes the node out of the cluster in good order: Ready becomes an
// error, the sessions here end with reason Closed after their Terminate methods
// have run, the members are told, and then the sockets close. It is bounded by
// ctx, or by DrainTimeout from now if ctx has no deadline or has ended already:
// it is never abrupt. The error says what was not done in time; the node is
// closed all the same. A second Leave waits for the first.
//
// In this release sessions do not move to the nodes that stay; see the package
// documentation.
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
	ended := n.table.Shutdown(ctx, sessionproc.Closed)
	left := n.cluster.Leave(ctx)
	closed := n.shut(ctx)
	if err := errors.Join(ended, left, closed); err != nil {
		return fmt.Errorf("node: leave: %w", err)
	}
	return nil
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
		err = errors.Join(n.table.Close(ctx), n.transport.Close(), n.cluster.Close(), n.endpoint.Close())
		n.log.Info("node closed")
		return err
	}
	<-n.stopped
	return nil
}

// undo closes what a failed Start has opened.
func (n *Node) undo() {
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
