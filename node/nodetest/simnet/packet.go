package simnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	maxPacket    = 65507     // bytes of a UDP packet over IPv4
	packetBuffer = 208 << 10 // bytes that a socket holds for its reader, unless SetReadBuffer changes it
)

// ReadFrom waits for the next packet. Bytes that do not fit into b are lost.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n := c.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, nil, opError("read", c.network, nil, c.addr, net.ErrClosed)
		case over(c.readBy):
			return 0, nil, opError("read", c.network, nil, c.addr, os.ErrDeadlineExceeded)
		case len(c.queue) > 0 && !c.host.stalled:
			p := c.queue[0]
			c.queue[0] = packet{}
			c.queue = c.queue[1:]
			c.bytes -= len(p.data)
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		}
		n.waitLocked(&c.changed, c.readBy)
	}
}

// WriteTo sends a packet to a *net.UDPAddr. It does not wait, and a nil error
// does not mean that the packet arrives.
func (c *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	switch {
	case c.closed:
		return 0, opError("write", c.network, c.addr, addr, net.ErrClosed)
	case over(c.writeBy):
		return 0, opError("write", c.network, c.addr, addr, os.ErrDeadlineExceeded)
	case !ok || to == nil:
		return 0, opError("write", c.network, c.addr, addr, syscall.EINVAL)
	case len(b) > maxPacket:
		return 0, opError("write", c.network, c.addr, addr, syscallError("sendto", syscall.EMSGSIZE))
	}
	target := to.AddrPort()
	if h := c.host.net.hosts[target.Addr().Unmap()]; h != nil {
		c.host.net.flyLocked(flyingPacket{
			packet: packet{data: append([]byte(nil), b...), from: netip.AddrPortFrom(c.host.addr, uint16(c.addr.Port))},
			sender: c.host, target: h, port: target.Port(),
		})
	}
	return len(b), nil
}

// Close closes the socket and ends a read that waits.
func (c *packetConn) Close() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return opError("close", c.network, nil, c.addr, net.ErrClosed)
	}
	c.closeLocked()
	return nil
}

func (c *packetConn) closeLocked() {
	c.closed = true
	delete(c.host.packets, uint16(c.addr.Port))
	c.queue = nil
	c.changed.fireLocked()
}

// LocalAddr returns a *net.UDPAddr.
func (c *packetConn) LocalAddr() net.Addr { return c.addr }

// SetReadBuffer sets how many bytes wait for the reader. Packets beyond that
// are lost.
func (c *packetConn) SetReadBuffer(bytes int) error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	c.max = bytes
	return nil
}

// SetDeadline sets both deadlines.
func (c *packetConn) SetDeadline(t time.Time) error { return c.setDeadlines(&t, &t) }

// SetReadDeadline bounds the present read and all later ones. The zero time
// means no bound.
func (c *packetConn) SetReadDeadline(t time.Time) error { return c.setDeadlines(&t, nil) }

// SetWriteDeadline makes later writes fail after t. The zero time means no
// bound.
func (c *packetConn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(nil, &t) }

func (c *packetConn) setDeadlines(read, write *time.Time) error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return opError("set", c.network, nil, c.addr, net.ErrClosed)
	}
	if read != nil {
		c.readBy = *read
		c.changed.fireLocked()
	}
	if write != nil {
		c.writeBy = *write
	}
	return nil
}
