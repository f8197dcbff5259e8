package simnet

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Dial connects to ip:port, which takes one round trip. It has the signature of
// net.Dialer.DialContext, for "tcp", "tcp4" and "tcp6". If nothing listens
// there, the error is syscall.ECONNREFUSED. If no host answers, Dial waits
// until ctx ends.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := parse(network, "tcp", address)
	if err != nil {
		return nil, opError("dial", network, nil, nil, err)
	}
	if to.Addr().IsUnspecified() {
		to = netip.AddrPortFrom(h.addr, to.Port())
	}
	c, err := h.connect(ctx, network, to)
	if err != nil {
		return nil, opError("dial", network, nil, net.TCPAddrFromAddrPort(to), err)
	}
	return c, nil
}

func (h *Host) connect(ctx context.Context, network string, to netip.AddrPort) (*conn, error) {
	n := h.net
	stop := context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.changed.fireLocked()
	})
	defer stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	var arrives time.Time // when the answer to the present attempt arrives; zero without an attempt
	for {
		target := n.hosts[to.Addr()]
		open := target != nil && n.openLocked(h, target) && n.connectedLocked(target, h)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case h.state != hostUp:
			return nil, syscallError("connect", syscall.ENETDOWN)
		case !open:
			arrives = time.Time{}
		case arrives.IsZero():
			arrives = time.Now().Add(n.roundTripLocked(h, target))
			continue
		case over(arrives):
			l := target.listenerLocked(to)
			if l == nil {
				return nil, syscallError("connect", syscall.ECONNREFUSED)
			}
			if len(l.queue) < n.cfg.Backlog {
				return n.streamLocked(h, network, l)
			}
			arrives = time.Now().Add(redial)
			continue
		}
		n.waitLocked(&n.changed, arrives)
	}
}

// roundTripLocked draws the time that a question and its answer take. Lost ones
// are repeated.
func (n *Network) roundTripLocked(a, b *Host) time.Duration {
	d := n.delayLocked(a, b) + n.delayLocked(b, a)
	for range 4 {
		if !n.lostLocked(a, b) && !n.lostLocked(b, a) {
			break
		}
		d += redial
	}
	return d
}

// listenerLocked returns the listener at a port of the host, or nil.
func (h *Host) listenerLocked(at netip.AddrPort) *listener {
	l := h.listeners[at.Port()]
	if h.state != hostUp || l == nil {
		return nil
	}
	return l
}
