package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// maxPulls is how many questions of other nodes for results of tasks wait at a time. Each node has one, and
// a few that it has given up.
const maxPulls = 1024

// pullTasks asks a member for the results of tasks of sessions of this node; see engine.TableConfig.
func (n *Node) pullTasks(ctx context.Context, member string, q *engine.TaskQuery) (*engine.TaskAnswer, error) {
	m, ok := n.seen(member)
	if why := n.table.PausedBy(); !ok && why != nil { // perhaps it is this node that has gone
		return nil, why
	}
	if !ok {
		return nil, engine.ErrNoRunner
	}
	payload, _, err := engine.EncodeValue(nil, q)
	if err != nil {
		return nil, err
	}
	reply, err := n.transport.Peer(m.Addr).Call(ctx, &transport.Request{Flags: opTasks, Key: member, Payload: payload})
	if err != nil {
		if peer, ok := errors.AsType[*transport.Error](err); ok && failure.Decode(peer).Code == failure.CodeUnsupported {
			return &engine.TaskAnswer{Unknown: q.Want}, nil // an earlier release, which runs no tasks
		}
		return nil, err
	}
	defer reply.Release()
	a := new(engine.TaskAnswer)
	return a, engine.DecodeForeign(reply.Payload, a)
}

// seen returns the member of that name, if this node sees it.
func (n *Node) seen(name string) (m cluster.Member, ok bool) {
	for _, m := range n.routes.Load().View.Members {
		if m.Name() == name {
			return m, true
		}
	}
	return m, false
}

// hearTasks answers another node that asks for results. It runs on a connection's reader.
func (n *Node) hearTasks(c *transport.Call) {
	if unsafeString(c.Key) != n.self.Name() {
		fail(c, failure.Encode(fmt.Errorf("%w: it was started anew", sessionproc.ErrUnavailable), false))
		return
	}
	q := new(engine.TaskQuery)
	if err := engine.DecodeForeign(c.Payload, q); err != nil {
		fail(c, failure.Encode(fmt.Errorf("%w: %w", sessionproc.ErrBadRequest, err), false))
		return
	}
	select {
	case n.pulls <- struct{}{}:
	default:
		fail(c, failure.Encode(fmt.Errorf("%w: %d nodes wait for results of tasks", sessionproc.ErrOverloaded, maxPulls),
			false))
		return
	}
	deadline := c.Deadline
	if deadline.IsZero() {
		deadline = time.Now().Add(n.cfg.CallTimeout)
	}
	answers := n.life.Go(func() {
		defer func() { <-n.pulls }()
		ctx, cancel := context.WithDeadline(n.life.Context(), deadline)
		defer cancel()
		reply, _, err := engine.EncodeValue(nil, n.table.ServeTasks(ctx, q))
		if err != nil {
			fail(c, failure.Encode(err, false))
			return
		}
		c.Reply(0, reply)
	})
	if !answers {
		<-n.pulls
		fail(c, failure.Encode(sessionproc.ErrClosed, false))
	}
}

// tasksRun reports whether a node that leaves has to wait for tasks.
func (n *Node) tasksRun() bool {
	tasks, _ := n.table.Tasks()
	return tasks > 0
}

// tasksLeft is the error of a leave that has given all sessions away and left tasks, or nil. left is the
// error of the drain.
func (n *Node) tasksLeft(left error) error {
	e := &DrainError{}
	if e.Tasks, e.TaskNames = n.table.Tasks(); e.Tasks == 0 {
		return nil
	}
	if e.why = left; errors.As(left, new(*DrainError)) {
		e.why = errors.Unwrap(left)
	}
	n.log.Error("tasks end because the node leaves; their sessions are told", "tasks", e.Tasks, "names", e.TaskNames)
	return fmt.Errorf("%w; these tasks have ended", e)
}
