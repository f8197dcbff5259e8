package simnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// streamLocked connects a host with a listener.
func (n *Network) streamLocked(h *Host, network string, l *listener) (*conn, error) {
	port, err := h.freePortLocked(func(p uint16) bool { return h.listeners[p] != nil })
	if err != nil {
		return nil, err
	}
	near := net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.addr, port))
	far := net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.host.addr, uint16(l.addr.Port)))
	s := &stream{net: n, index: len(n.streams)}
	n.streams = append(n.streams, s)
	s.dialed = &conn{stream: s, host: h, network: network, local: near, remote: far}
	s.accepted = &conn{stream: s, host: l.host, network: l.network, local: far, remote: near}
	there, back := newHalf(s.dialed, s.accepted), newHalf(s.accepted, s.dialed)
	s.dialed.out, s.accepted.in = there, there
	s.accepted.out, s.dialed.in = back, back
	l.queue = append(l.queue, s.accepted)
	l.changed.fireLocked()
	return s.dialed, nil
}

// resetLocked ends the stream at both ends at once.
func (s *stream) resetLocked() {
	s.dialed.failLocked()
	s.accepted.failLocked()
}

// forgetLocked removes a stream from the network once both ends have closed it.
func (s *stream) forgetLocked() {
	if !s.dialed.closed || !s.accepted.closed || s.index < 0 {
		return
	}
	last := s.net.streams[len(s.net.streams)-1]
	s.net.streams[s.index] = last
	last.index = s.index
	s.net.streams = s.net.streams[:len(s.net.streams)-1]
	s.index = -1
	s.dialed.out.dropLocked()
	s.accepted.out.dropLocked()
}

func (c *conn) err(op string, err error) error { return opError(op, c.network, c.local, c.remote, err) }

// Read returns bytes that have arrived, and waits if there are none.
func (c *conn) Read(b []byte) (int, error) {
	n := c.stream.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.err("read", net.ErrClosed)
		case over(c.readBy):
			return 0, c.err("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case c.host.stalled:
		case c.readClosed:
			return 0, io.EOF
		case len(c.in.arrived) > 0:
			return c.in.readLocked(b), nil
		case c.failed:
			return 0, c.err("read", syscallError("read", syscall.ECONNRESET))
		case c.in.ended:
			return 0, io.EOF
		}
		n.waitLocked(&c.in.changed, c.readBy)
	}
}

// Write accepts b part by part, as there is room. The order of the cases
// decides between several reasons to return: what the program did itself comes
// before what arrived.
func (c *conn) Write(b []byte) (done int, err error) {
	n := c.stream.net
	n.mu.Lock()
	defer n.mu.Unlock()
	mine := false
	defer func() {
		if mine {
			c.writing = false
			c.out.changed.fireLocked()
		}
	}()
	for {
		switch {
		case c.closed:
			return done, c.err("write", net.ErrClosed)
		case over(c.writeBy):
			return done, c.err("write", os.ErrDeadlineExceeded)
		case c.writing && !mine:
		case c.failed:
			return done, c.err("write", syscallError("write", syscall.ECONNRESET))
		case c.out.finished:
			return done, c.err("write", syscallError("write", syscall.EPIPE))
		case len(b) == 0:
			return done, nil
		default:
			c.writing, mine = true, true
			taken := c.out.writeLocked(b)
			done, b = done+taken, b[taken:]
			if len(b) == 0 {
				return done, nil
			}
			if taken > 0 || c.failed {
				continue
			}
		}
		n.waitLocked(&c.out.changed, c.writeBy)
	}
}

// Close closes both directions. Bytes that were written still arrive. If bytes
// that have arrived are unread, or bytes arrive later, the peer gets a reset.
func (c *conn) Close() error {
	n := c.stream.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return c.err("close", net.ErrClosed)
	}
	unread := len(c.in.arrived) > 0 && !c.readClosed
	if !c.failed {
		if unread {
			c.out.sendLocked(segment{kind: segReset})
		} else {
			c.finishLocked()
		}
	}
	c.closeLocked()
	return nil
}

// abortLocked closes c with its program. If tell is set, the peer gets a reset.
func (c *conn) abortLocked(tell bool) {
	if c.closed {
		return
	}
	if tell && !c.failed {
		c.out.sendLocked(segment{kind: segReset})
	} else {
		c.out.dropLocked()
	}
	c.closeLocked()
}

func (c *conn) closeLocked() {
	c.closed = true
	c.in.discardLocked()
	c.in.changed.fireLocked()
	c.out.changed.fireLocked()
	c.stream.forgetLocked()
}

// CloseWrite tells the peer that no more bytes follow.
func (c *conn) CloseWrite() error {
	c.stream.net.mu.Lock()
	defer c.stream.net.mu.Unlock()
	switch {
	case c.closed:
		return c.err("close", net.ErrClosed)
	case c.failed:
		return c.err("close", syscallError("shutdown", syscall.ENOTCONN))
	}
	c.finishLocked()
	return nil
}

func (c *conn) finishLocked() {
	if !c.out.finished {
		c.out.finished = true
		c.out.sendLocked(segment{kind: segEnd})
		c.out.changed.fireLocked()
	}
}

// CloseRead ends reading. Bytes that arrive from now on are discarded.
func (c *conn) CloseRead() error {
	c.stream.net.mu.Lock()
	defer c.stream.net.mu.Unlock()
	if c.closed {
		return c.err("close", net.ErrClosed)
	}
	c.readClosed = true
	c.in.discardLocked()
	c.in.changed.fireLocked()
	return nil
}

// LocalAddr returns a *net.TCPAddr.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns a *net.TCPAddr.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error { return c.setDeadlines(&t, &t) }

// SetReadDeadline bounds present and future reads. The zero time means no
// bound.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(&t, nil) }

// SetWriteDeadline bounds present and future writes. The zero time means no
// bound.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(nil, &t) }

func (c *conn) setDeadlines(read, write *time.Time) error {
	c.stream.net.mu.Lock()
	defer c.stream.net.mu.Unlock()
	if c.closed {
		return c.err("set", net.ErrClosed)
	}
	if read != nil {
		c.readBy = *read
		c.in.changed.fireLocked()
	}
	if write != nil {
		c.writeBy = *write
		c.out.changed.fireLocked()
	}
	return nil
}
