package endpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/transport"
)

const (
	maxPacket = 64 << 10 // bytes, the limit of UDP itself

	// packetBacklog is the size in bytes of the kernel's receive buffer. Packets wait
	// there while memberlist is busy. Many nodes that join at once send a burst, and a
	// dropped packet delays the view by a gossip interval.
	packetBacklog = 2 << 20
)

// maxGossipStreams bounds the open streams that other nodes have opened.
// memberlist serves a few of them at a time, each for milliseconds, so a
// healthy cluster stays far below.
const maxGossipStreams = 64

var errGossipStreams = errors.New("too many gossip streams")

var _ memberlist.NodeAwareTransport = (*gossip)(nil)

// startGossip returns a gossip and starts the goroutine that reads packets.
// Shutdown ends that goroutine and waits for it.
func startGossip(e *Endpoint, udp packetConn) *gossip {
	_ = udp.SetReadBuffer(packetBacklog) // the system may grant less
	g := &gossip{
		endpoint: e, udp: udp, label: e.cfg.Cluster,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		open: make(map[*gossipStream]struct{}),
	}
	g.ctx, g.cancel = context.WithCancel(e.ctx)
	g.reader.Go(g.readPackets)
	return g
}

// readPackets hands each packet to memberlist. While memberlist is busy the
// kernel buffers packets up to packetBacklog and drops the rest; gossip repeats
// itself.
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
				g.endpoint.log.Error("node: cannot read gossip packets; retrying", "err", err)
			}
			if !pause.wait(g.ctx) {
				return
			}
			continue
		}
		pause.last = 0
		sender := net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		if err := g.checkLabel(buf[:n]); err != nil {
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
	errNoGossip      = errors.New("not a gossip packet of sessionproc")
	errForeignGossip = errors.New("gossip packet of another cluster")
)

// checkLabel returns an error if the label of packet is not this cluster's. memberlist
// checks the label too, but it logs a line for each packet, and strangers would choose how
// many lines that are.
func (g *gossip) checkLabel(packet []byte) error {
	_, label, err := memberlist.RemoveLabelHeaderFromPacket(packet)
	switch {
	case err != nil || label == "":
		return errNoGossip
	case label != g.label:
		return errForeignGossip
	}
	return nil
}

// FinalAdvertiseAddr returns the address of the endpoint and ignores
// memberlist's own settings.
func (g *gossip) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return g.endpoint.addr.Addr().AsSlice(), int(g.endpoint.addr.Port()), nil
}

// WriteTo sends one packet.
func (g *gossip) WriteTo(b []byte, addr string) (time.Time, error) {
	return g.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends one packet. Each error is a bare *net.OpError of a
// write, never a wrapped one: memberlist asserts this type to decide that the
// other side has failed. With an error of any other type it goes on probing,
// and the failed node stays in the view.
func (g *gossip) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, &net.OpError{Op: "write", Net: "udp", Err: err}
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port()) // an IPv4 socket refuses a mapped address
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

// PacketCh returns the channel of received packets. It is never closed.
func (g *gossip) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh returns the channel of streams that other nodes opened. It is never
// closed.
func (g *gossip) StreamCh() <-chan net.Conn { return g.streams }

// DialTimeout opens a stream.
func (g *gossip) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream. timeout covers the connection, TLS and the
// hellos, so both sides have verified each other when it returns.
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

// receive takes over an accepted connection. It returns when memberlist has the
// stream, or when the connection is closed.
func (g *gossip) receive(conn net.Conn) {
	s, err := g.shake(conn, false, g.endpoint.cfg.HandshakeTimeout)
	if err != nil {
		if g.ctx.Err() == nil {
			g.endpoint.refuse(conn.RemoteAddr(), err)
		}
		return
	}
	// memberlist reads StreamCh only once it runs, and between two streams it may be busy.
	patience := time.NewTimer(g.endpoint.cfg.HandshakeTimeout)
	defer patience.Stop()
	select {
	case g.streams <- s:
	case <-patience.C:
		_ = s.Close()
	case <-g.ctx.Done():
		_ = s.Close()
	}
}

// shake exchanges the hellos over conn. It closes conn if that fails.
func (g *gossip) shake(conn net.Conn, dialer bool, timeout time.Duration) (net.Conn, error) {
	s := &gossipStream{Conn: conn, gossip: g, came: !dialer}
	if err := g.track(s); err != nil {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: conn.RemoteAddr(), Err: err}
	}
	if _, err := transport.Shake(conn, g.endpoint.auth, dialer, min(timeout,
		g.endpoint.cfg.HandshakeTimeout)); err != nil {
		_ = s.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{}) // memberlist sets its own
	return s, nil
}

// track records an open stream. It fails after Shutdown, and if other nodes
// have too many streams open.
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

// Shutdown ends gossip: it closes the UDP socket and each open stream, and it
// waits for the reader. memberlist calls it, and so does Endpoint.Close.
// Shutdown is idempotent.
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

// GossipKey returns the gossip key of the secret that the other end has proved,
// or nil if there is none. memberlist encrypts the stream with it, because
// during a rotation of secrets the other end may not accept the key that this
// node uses for packets yet.
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
