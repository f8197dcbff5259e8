package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// hearQuery answers another node. It runs on a connection's reader.
func (n *Node) hearQuery(c *transport.Call) {
	if unsafeString(c.Key) != n.self.Name() {
		fail(c, failure.Encode(fmt.Errorf("%w: it was started anew", sessionproc.ErrUnavailable), false))
		return
	}
	done := func() { <-n.queries }
	if c.Flags&flagPlaced != 0 {
		done = func() {} // a start function waits for it, and what has that run may be one of the queries
	} else {
		select {
		case n.queries <- struct{}{}:
		default:
			fail(c, failure.Encode(fmt.Errorf("%w: the node answers %d queries", sessionproc.ErrOverloaded, maxQueries), false))
			return
		}
	}
	deadline := c.Deadline
	if deadline.IsZero() {
		deadline = time.Now().Add(n.cfg.CallTimeout)
	}
	answers := n.life.Go(func() {
		defer done()
		n.replyQuery(c, deadline)
	})
	if !answers {
		done()
		fail(c, failure.Encode(sessionproc.ErrClosed, false))
	}
}

func (n *Node) replyQuery(c *transport.Call, deadline time.Time) {
	q := new(query)
	if err := engine.DecodeForeign(c.Payload, q); err != nil {
		fail(c, failure.Encode(fmt.Errorf("%w: %w", sessionproc.ErrBadRequest, err), false))
		return
	}
	q.waiting = c.Chain()
	ctx, cancel := context.WithDeadline(n.life.Context(), deadline)
	defer cancel()
	if _, values := n.carried(c.Trace); values != nil {
		ctx = carried{ctx, values}
	}
	answer, err := n.answer(ctx, q)
	var reply []byte
	if err == nil {
		reply, _, err = engine.EncodeValue(nil, answer)
	}
	if err != nil {
		fail(c, failure.Encode(err, true))
		return
	}
	c.Reply(0, reply)
}

// answer answers a query of any node.
func (n *Node) answer(ctx context.Context, q *query) (any, error) {
	if newest := n.cfg.newest; newest > 0 && q.What > newest {
		return nil, sessionproc.ErrUnsupported
	}
	switch q.What {
	case askPage:
		return n.page(q), nil
	case askStats:
		return n.stats(ctx), nil
	case askDetails:
		return n.details(ctx, q.ID, q.Stack), nil
	case askEnd:
		return n.endLabelled(ctx, q)
	case askBroadcast:
		return n.broadcastHere(ctx, q)
	case askMany:
		return n.serveMany(ctx, q.Items)
	case askEnding:
		return n.ending(q), nil
	case askExplain:
		return n.accountOf(ctx, q.ID), nil
	case askHealth:
		return n.report(), nil
	}
	return nil, sessionproc.ErrUnsupported
}
