package node

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/handover"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// greet answers a member's question.
func (n *Node) greet(c *transport.Call) {
	name, question := c.Peer, byte(math.MaxUint8)
	if len(c.Payload) > 0 {
		question = c.Payload[0]
	}
	switch {
	case question == helloStanding:
		r := wire.NewReader(c.Payload[1:])
		gap := time.Duration(min(r.Uint(), uint64(handover.FormerFor.Milliseconds()))) * time.Millisecond
		apart := r.Len() > 0 && r.Bool()
		c.Reply(0, wire.AppendUint(nil, n.standingOf(name, gap, apart)))
	case question == helloRelease && unsafeString(c.Key) != n.self.Name():
		fail(c, failure.Encode(fmt.Errorf("%w: it was started anew", sessionproc.ErrUnavailable), false))
	case question == helloRelease:
		c.Reply(0, n.given)
	case !n.driver.Ready():
		failNotJoined(c)
	case question == helloReach:
		n.serveLater(c, func() { n.reach(c, name) })
	case question == helloWelcome:
		n.welcome(c, name)
	case question == helloMeet:
		n.meetFor(c)
	case question == helloAlive:
		n.noteAlive(name, c.Payload[1:])
		c.Reply(0, appendNames(nil, n.kinds()))
	case question == helloState && len(c.Payload) == 2 && cluster.State(c.Payload[1]) <= cluster.Draining:
		state := cluster.State(c.Payload[1])
		n.life.Go(func() { n.noteState(name, state) })
		c.Reply(0, appendNames(nil, nil))
	case question == helloEvict:
		out := string(c.Payload[1:])
		n.serveLater(c, func() { n.hearEvict(c, name, out) })
	default:
		fail(c, failure.Encode(sessionproc.ErrUnsupported, false))
	}
}

func failNotJoined(c *transport.Call) {
	fail(c, failure.Encode(fmt.Errorf("%w: it has not joined itself", sessionproc.ErrUnavailable), false))
}

// welcome tells a node that serves now whom this one sees.
func (n *Node) welcome(c *transport.Call, name string) {
	names, ready := n.driver.Present()
	switch {
	case !ready:
		failNotJoined(c)
	case !slices.Contains(names, name):
		fail(c, failure.Encode(fmt.Errorf("%w: it has not heard of you", sessionproc.ErrUnavailable), false))
	default:
		c.Reply(0, appendNames(nil, names))
	}
}

// reach dials a node that joins.
func (n *Node) reach(c *transport.Call, name string) {
	addr := n.driver.Addr(name)
	if addr == "" {
		fail(c, failure.Encode(fmt.Errorf("%w: it has not heard of you", sessionproc.ErrUnavailable), false))
		return
	}
	ctx, cancel := context.WithTimeout(n.life.Context(), helloTimeout)
	defer cancel()
	peer, err := n.transport.Peer(addr).Connect(ctx)
	if err == nil && peer != name {
		err = fmt.Errorf("%s answers there", peer)
	}
	if err != nil {
		fail(c, failure.Encode(fmt.Errorf("%w: it cannot reach you at %s: %w", sessionproc.ErrUnavailable, addr, err), false))
		return
	}
	c.Reply(0, appendNames(nil, n.driver.Evicted()))
}
