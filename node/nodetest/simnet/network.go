package simnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// New returns a network without hosts, or an error that names the invalid field
// of cfg.
func New(cfg Config) (*Network, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("simnet: %w", err)
	}
	return &Network{
		cfg:   cfg,
		rand:  rand.New(rand.NewPCG(cfg.Seed, 0)),
		hosts: map[netip.Addr]*Host{},
		links: map[route]*link{},
	}, nil
}

// Host returns the host with an address. It creates the host at the first call.
func (n *Network) Host(addr netip.Addr) *Host {
	addr = addr.Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[addr]
	if h == nil {
		h = newHost(n, addr)
		n.hosts[addr] = h
		n.changed.fireLocked()
	}
	return h
}

func (n *Network) linkLocked(from, to *Host) *link {
	r := route{from, to}
	l := n.links[r]
	if l == nil {
		l = &link{Link: n.cfg.Link, resetIn: -1}
		if from == to {
			l.Link = Link{}
		}
		n.links[r] = l
	}
	return l
}

// delayLocked draws the time that something takes on its way, without regard to
// loss.
func (n *Network) delayLocked(from, to *Host) time.Duration {
	l := n.linkLocked(from, to)
	d := l.Latency
	if l.Jitter > 0 {
		d += time.Duration(n.rand.Int64N(int64(l.Jitter) + 1))
	}
	return d
}

// lostLocked draws whether something is lost on its way.
func (n *Network) lostLocked(from, to *Host) bool {
	loss := n.linkLocked(from, to).Loss
	return loss > 0 && n.rand.Float64() < loss
}

// connectedLocked reports whether the cable from one host to another is whole.
func (n *Network) connectedLocked(from, to *Host) bool {
	return from.state != hostOff && to.state != hostOff && (from == to || !n.linkLocked(from, to).cut)
}

// openLocked reports whether data that a program on one host sends now reaches
// the other host.
func (n *Network) openLocked(from, to *Host) bool {
	return !from.stalled && n.connectedLocked(from, to)
}

func (s *signal) fireLocked() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// waitLocked unlocks the network, waits for s or until a time, and locks the
// network again. A zero time means no limit. A caller checks its condition
// again: a signal says only that something has changed.
func (n *Network) waitLocked(s *signal, until time.Time) {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	ch := s.ch
	n.mu.Unlock()
	defer n.mu.Lock()
	if until.IsZero() {
		<-ch
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ch:
	case <-timer.C:
	}
}

// over reports whether a deadline has passed. The zero time never passes.
func over(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}
