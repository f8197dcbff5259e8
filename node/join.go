package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// What members ask one another, those that join the first two. The answer is a
// list of names.
const (
	helloReach    = 0 // do you see me, and can you reach me? Who was put out?
	helloWelcome  = 1 // I serve: whom do you see, me among them?
	helloAlive    = 2 // are you there? What are your kinds?
	helloEvict    = 3 // the member whose name follows is put out
	helloStanding = 4 // and for how many milliseconds: I stood still, how do I stand?
	helloState    = 5 // and the state that I am in now
	helloRelease  = 6 // what were you given? The answer is a release
	helloMeet     = 7 // and a list of names: whom do you count, and who of these answers you now?
)

const (
	helloTimeout = 3 * time.Second
	helloPause   = 10 * time.Millisecond
	welcomeTries = 10                     // looks at the own view, before a host is asked again
	firstOf      = 500 * time.Millisecond // that long nobody but joiners is there, before the first of them begins
)

var errNoWelcome = errors.New("the members that were found do not answer, or cannot reach this node at its " +
	"advertised address")

// beWelcomed makes this node serve: a member has to see it and to reach it,
// before it serves, and then to say whom it sees, before it takes partitions.
// Where nobody is, it begins a cluster.
func (n *Node) beWelcomed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(n.cfg.JoinTimeout, helloTimeout))
	defer cancel()
	begun, serving := time.Now(), false
	var last error
	for {
		hosts, first, alone := n.hosts()
		switch {
		case len(hosts) == 0 && n.strangersMayCome(begun):
		case len(hosts) == 0 && (serving || alone || first && time.Since(begun) > firstOf):
			return n.serveAs(func(m *ownership.Machine) []ownership.Effect { return m.Bootstrap() })
		case !serving:
			var evicted []string
			if evicted, last = n.ask(ctx, hosts, helloReach); last == nil {
				serving = true
				n.putOut(evicted...)
				n.awaitSeen(ctx, hosts)
				if err := n.serveAs(nil); err != nil {
					return err
				}
				continue
			}
		default:
			var names []string
			if names, last = n.ask(ctx, hosts, helloWelcome); last == nil {
				n.driver.turn(ownership.NoPartition, func(m *ownership.Machine) []ownership.Effect { return m.Welcome(names) })
				if n.awaitReady(ctx) {
					return nil
				}
				last = errors.New("this node has not heard of all members yet")
			}
		}
		if !pause(ctx, helloPause) {
			return errors.Join(fmt.Errorf("join: %w: %w", errNoWelcome, ctx.Err()), last)
		}
	}
}

// serveAs makes this node serving in its own view, and tells the machine.
func (n *Node) serveAs(event func(m *ownership.Machine) []ownership.Effect) error {
	if err := n.cluster.SetState(cluster.Serving); err != nil {
		return err
	}
	n.reroute(n.cluster.View())
	n.tell(cluster.Serving)
	if event != nil {
		n.driver.turn(ownership.NoPartition, event)
	}
	return nil
}

// hosts are the members that can welcome this one, serving ones first. first:
// none of those that join too has a smaller name. alone: there is nobody.
func (n *Node) hosts() (hosts []cluster.Member, first, alone bool) {
	first = true
	view := n.cluster.View()
	for _, m := range view.Members {
		switch {
		case m.Name() == n.self.Name():
		case m.State == cluster.Joining:
			first = first && n.self.Name() < m.Name()
		default:
			hosts = append(hosts, m)
		}
	}
	slices.SortStableFunc(hosts, func(a, b cluster.Member) int { return int(a.State) - int(b.State) })
	return hosts, first, len(view.Members) == 1
}

// strangersMayCome reports whether gossip names somebody who may turn out to be a
// member: one that is answers long before.
func (n *Node) strangersMayCome(begun time.Time) bool {
	return len(n.cluster.View().Strangers) > 0 && time.Since(begun) < helloTimeout
}

// ask puts a question to hosts until one answers.
func (n *Node) ask(ctx context.Context, hosts []cluster.Member, question byte) (names []string, err error) {
	err = errors.New("nobody serves yet")
	for _, m := range hosts {
		within, cancel := context.WithTimeout(ctx, helloTimeout)
		names, err = n.question(within, m, []byte{question})
		cancel()
		if err == nil {
			return names, nil
		}
	}
	return nil, err
}

// question asks one member.
func (n *Node) question(ctx context.Context, m cluster.Member, payload []byte) (names []string, err error) {
	reply, err := n.transport.Peer(m.Addr).Call(ctx, &transport.Request{Flags: opHello, Payload: payload})
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", m.Slot, m.Addr, err)
	}
	defer reply.Release()
	r := wire.NewReader(reply.Payload)
	for i := r.ArrayLen(); i > 0 && r.Err() == nil; i-- {
		names = append(names, string(r.Str()))
	}
	return names, r.Err()
}

// awaitReady waits a while until this node has heard of all that the host sees.
// It may never: a member that has just died is asked for again.
func (n *Node) awaitReady(ctx context.Context) bool {
	for range welcomeTries {
		n.driver.mu.RLock()
		ready := n.driver.m.Ready()
		n.driver.mu.RUnlock()
		if ready {
			return true
		}
		if !pause(ctx, helloPause) {
			break
		}
	}
	return false
}

// greet answers a member's question.
func (d *driver) greet(c *transport.Call) {
	name, question := c.Peer, byte(math.MaxUint8)
	if len(c.Payload) > 0 {
		question = c.Payload[0]
	}
	if question == helloStanding {
		r := wire.NewReader(c.Payload[1:])
		gap := time.Duration(min(r.Uint(), uint64(formerFor.Milliseconds()))) * time.Millisecond
		c.Reply(0, wire.AppendUint(nil, d.standingOf(name, gap)))
		return
	}
	if question == helloRelease {
		if unsafeString(c.Key) != d.n.self.Name() {
			fail(c, failure.Encode(fmt.Errorf("%w: it was started anew", sessionproc.ErrUnavailable), false))
			return
		}
		c.Reply(0, d.n.given)
		return
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	switch {
	case d.closed || d.m == nil || !d.m.Ready():
		fail(c, failure.Encode(fmt.Errorf("%w: it has not joined itself", sessionproc.ErrUnavailable), false))
	case question == helloReach:
		d.n.serveLater(c, func() { d.reach(c, name) })
	case question == helloWelcome:
		d.welcomeLocked(c, name)
	case question == helloMeet:
		d.meetFor(c)
	case question == helloAlive:
		c.Reply(0, appendNames(nil, d.n.kinds()))
	case question == helloState && len(c.Payload) == 2 && cluster.State(c.Payload[1]) <= cluster.Draining:
		state := cluster.State(c.Payload[1])
		d.n.life.Go(func() { d.n.noteState(name, state) })
		c.Reply(0, appendNames(nil, nil))
	case question == helloEvict:
		out := string(c.Payload[1:])
		d.n.serveLater(c, func() { d.hearEvict(c, name, out) })
	default:
		fail(c, failure.Encode(sessionproc.ErrUnsupported, false))
	}
}

// serveLater runs f, which replies to c, on a goroutine of the node.
func (n *Node) serveLater(c *transport.Call, f func()) {
	if !n.life.Go(f) {
		fail(c, failure.Encode(sessionproc.ErrClosed, false))
	}
}

// welcomeLocked tells a node that serves now whom this one sees.
func (d *driver) welcomeLocked(c *transport.Call, name string) {
	names := d.m.Present()
	if !slices.Contains(names, name) {
		fail(c, failure.Encode(fmt.Errorf("%w: it has not heard of you", sessionproc.ErrUnavailable), false))
		return
	}
	c.Reply(0, appendNames(nil, names))
}

func appendNames(b []byte, names []string) []byte {
	b = wire.AppendArrayLen(b, len(names))
	for _, name := range names {
		b = wire.AppendString(b, name)
	}
	return b
}

// reach dials a node that joins.
func (d *driver) reach(c *transport.Call, name string) {
	addr := d.addr(name)
	if addr == "" {
		fail(c, failure.Encode(fmt.Errorf("%w: it has not heard of you", sessionproc.ErrUnavailable), false))
		return
	}
	ctx, cancel := context.WithTimeout(d.n.life.Context(), helloTimeout)
	defer cancel()
	peer, err := d.n.transport.Peer(addr).Connect(ctx)
	if err == nil && peer != name {
		err = fmt.Errorf("%s answers there", peer)
	}
	if err != nil {
		fail(c, failure.Encode(fmt.Errorf("%w: it cannot reach you at %s: %w", sessionproc.ErrUnavailable, addr, err), false))
		return
	}
	d.mu.RLock()
	evicted := slices.Collect(maps.Keys(d.evicted))
	d.mu.RUnlock()
	c.Reply(0, appendNames(nil, evicted))
}
