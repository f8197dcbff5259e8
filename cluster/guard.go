package cluster

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// guard stands between memberlist and the transport and makes up for two things:
// memberlist never finds a crash if sending a packet fails with anything but a bare
// *net.OpError, and it leaves its streams open when it is shut down.
type guard struct {
	memberlist.NodeAwareTransport

	mu      sync.Mutex // guards what follows
	closed  bool
	streams map[*stream]struct{}
}

func newGuard(t memberlist.NodeAwareTransport) *guard {
	return &guard{NodeAwareTransport: t, streams: map[*stream]struct{}{}}
}

// WriteTo implements memberlist.Transport.
func (g *guard) WriteTo(b []byte, addr string) (time.Time, error) {
	return g.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (g *guard) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	at, err := g.NodeAwareTransport.WriteToAddress(b, addr)
	if err != nil {
		err = &net.OpError{Op: "write", Net: "udp", Err: err}
	}
	return at, err
}

// DialTimeout implements memberlist.Transport.
func (g *guard) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (g *guard) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if g.isClosed() {
		return nil, net.ErrClosed
	}
	conn, err := g.NodeAwareTransport.DialAddressTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	s := &stream{Conn: conn, guard: g}
	if !g.add(s) {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	return s, nil
}

func (g *guard) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

func (g *guard) add(s *stream) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.streams[s] = struct{}{}
	}
	return !g.closed
}

func (g *guard) remove(s *stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.streams, s)
}

// Shutdown implements memberlist.Transport; only the first call does anything.
func (g *guard) Shutdown() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	open := g.streams
	g.streams = map[*stream]struct{}{}
	g.mu.Unlock()

	for s := range open {
		s.Conn.Close()
	}
	return g.NodeAwareTransport.Shutdown()
}

// stream is a connection that the guard knows of until it is closed.
type stream struct {
	net.Conn
	guard *guard
}

func (s *stream) Close() error {
	s.guard.remove(s)
	return s.Conn.Close()
}
