package endpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/transport"
)

const (
	maxPacket     = 64 << 10 // bytes, UDP's own limit
	packetBacklog = 2 << 20  // bytes the kernel keeps while memberlist is busy; a join of many nodes comes in a burst
)

// gossip is what memberlist sends and receives with: packets over UDP, streams over the endpoint's TCP port, each behind the
// same handshake as every other connection. It owns every gossip stream, so that none outlives Shutdown.
type gossip struct {
	endpoint *Endpoint
	udp      packetConn
	label    string
	packets  chan *memberlist.Packet
	streams  chan net.Conn

	ctx    context.Context // ends in Shutdown
	cancel context.CancelFunc
	reader sync.WaitGroup

	mu     sync.Mutex // guards what follows
	closed bool
	open   map[*gossipStream]struct{}
	came   int // of those open: others have opened them
}

// maxGossipStreams is how many streams others may have open at a time. memberlist
// takes a few of them at once, each for milliseconds.
const maxGossipStreams = 64

var errGossipStreams = errors.New("too many gossip streams at a time")

var _ memberlist.NodeAwareTransport = (*gossip)(nil)

// startGossip starts the goroutine that reads packets; Shutdown ends it and waits for it.
func startGossip(e *Endpoint, udp packetConn) *gossip {
	_ = udp.SetReadBuffer(packetBacklog) // as much as the system grants
	g := &gossip{
		endpoint: e, udp: udp, label: e.cfg.Cluster,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		open: make(map[*gossipStream]struct{}),
	}
	g.ctx, g.cancel = context.WithCancel(e.ctx)
	g.reader.Go(g.readPackets)
	return g
}

// readPackets hands each packet to memberlist; while that is busy the kernel keeps some and drops the rest.
func (g *gossip) readPackets() {
	var pause backoff
	buf := make([]byte, maxPacket)
	for {
		n, from, err := g.udp.ReadFromUDPAddrPort(buf)
		at := time.Now()
		if err != nil {
			if g.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			if pause.last == 0 {
				g.endpoint.log.Error("node: cannot read gossip packets, will try again", "err", err)
			}
			if !pause.wait(g.ctx) {
				return
			}
			continue
		}
		pause.last = 0
		sender := net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		if err := g.strange(buf[:n]); err != nil {
			g.endpoint.refusals.Log("node: packet refused", sender, err)
			continue
		}
		packet := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: sender, Timestamp: at}
		select {
		case g.packets <- packet:
		case <-g.ctx.Done():
			return
		}
	}
}

var (
	errNoGossip      = errors.New("it is no gossip of sessionproc")
	errForeignGossip = errors.New("it is gossip of another cluster")
)

// strange says why a packet is not of this cluster: memberlist would write a line for each.
func (g *gossip) strange(packet []byte) error {
	_, label, err := memberlist.RemoveLabelHeaderFromPacket(packet)
	switch {
	case err != nil || label == "":
		return errNoGossip
	case label != g.label:
		return errForeignGossip
	}
	return nil
}

// FinalAdvertiseAddr is the endpoint's, whatever memberlist's own settings say.
func (g *gossip) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return g.endpoint.addr.Addr().AsSlice(), int(g.endpoint.addr.Port()), nil
}

// WriteTo sends one packet.
func (g *gossip) WriteTo(b []byte, addr string) (time.Time, error) {
	return g.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends one packet. Its errors are bare *net.OpError of a UDP write: memberlist takes only such a one for a sign that the other
// side has failed, and after any other it never finds out that a node is gone.
func (g *gossip) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, &net.OpError{Op: "write", Net: "udp", Err: err}
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port()) // an IPv4 socket takes no mapped address
	_, err = g.udp.WriteToUDPAddrPort(b, to)
	at := time.Now()
	if err == nil {
		return at, nil
	}
	if op, ok := err.(*net.OpError); ok && op.Op == "write" {
		return at, op
	}
	return at, &net.OpError{Op: "write", Net: "udp", Addr: net.UDPAddrFromAddrPort(to), Err: err}
}

// PacketCh is never closed.
func (g *gossip) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh is never closed.
func (g *gossip) StreamCh() <-chan net.Conn { return g.streams }

// DialTimeout opens a stream.
func (g *gossip) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream; both sides have verified each other when it returns, all within timeout.
func (g *gossip) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	deadline := time.Now().Add(timeout)
	ctx, cancel := context.WithDeadline(g.ctx, deadline)
	defer cancel()
	conn, err := g.endpoint.dial(ctx, a.Addr, forGossip)
	if err != nil {
		return nil, err
	}
	return g.shake(conn, true, time.Until(deadline))
}

// receive takes an accepted connection over. It returns when memberlist has it, or it is closed.
func (g *gossip) receive(conn net.Conn) {
	s, err := g.shake(conn, false, g.endpoint.cfg.HandshakeTimeout)
	if err != nil {
		if g.ctx.Err() == nil {
			g.endpoint.refuse(conn.RemoteAddr(), err)
		}
		return
	}
	patience := time.NewTimer(g.endpoint.cfg.HandshakeTimeout) // memberlist may not run yet
	defer patience.Stop()
	select {
	case g.streams <- s:
	case <-patience.C:
		_ = s.Close()
	case <-g.ctx.Done():
		_ = s.Close()
	}
}

// shake exchanges hellos; it closes conn if that fails.
func (g *gossip) shake(conn net.Conn, dialer bool, timeout time.Duration) (net.Conn, error) {
	s := &gossipStream{Conn: conn, gossip: g, came: !dialer}
	if err := g.track(s); err != nil {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: conn.RemoteAddr(), Err: err}
	}
	if _, err := transport.Shake(conn, g.endpoint.auth, dialer, min(timeout, g.endpoint.cfg.HandshakeTimeout)); err != nil {
		_ = s.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{}) // memberlist sets its own
	return s, nil
}

func (g *gossip) track(s *gossipStream) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return net.ErrClosed
	case s.came && g.came >= maxGossipStreams:
		return errGossipStreams
	}
	g.open[s] = struct{}{}
	if s.came {
		g.came++
	}
	return nil
}

// Shutdown ends gossip: no packet and no stream comes or goes any more, and open streams end. memberlist calls it, and so does
// the endpoint's Close. Idempotent.
func (g *gossip) Shutdown() error {
	g.cancel()
	_ = g.udp.Close()
	g.mu.Lock()
	g.closed = true
	open := make([]*gossipStream, 0, len(g.open))
	for s := range g.open {
		open = append(open, s)
	}
	g.mu.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
	g.reader.Wait()
	return nil
}

// A gossipStream is a connection that gossip knows as open until it is closed.
type gossipStream struct {
	net.Conn
	gossip *gossip
	came   bool // another node has opened it
}

func (s *gossipStream) Close() error {
	g := s.gossip
	g.mu.Lock()
	if _, open := g.open[s]; open && s.came {
		g.came--
	}
	delete(g.open, s)
	g.mu.Unlock()
	return s.Conn.Close()
}

// GossipKey is the one of the secret that the other end has proved to have; nil: there is
// none.
func (s *gossipStream) GossipKey() []byte {
	c, ok := s.Conn.(proven)
	if !ok {
		return nil
	}
	if k, ok := s.gossip.endpoint.auth.keys.Load().find(c.proof().peer); ok {
		return k.gossip
	}
	return nil
}
