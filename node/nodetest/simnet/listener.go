package simnet

import (
	"net"
	"os"
	"time"
)

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, opError("accept", l.network, nil, l.addr, net.ErrClosed)
		case over(l.until):
			return nil, opError("accept", l.network, nil, l.addr, os.ErrDeadlineExceeded)
		case len(l.queue) > 0 && !l.host.stalled:
			c := l.queue[0]
			l.queue = l.queue[1:]
			n.changed.fireLocked() // a dialer may wait for room in the backlog
			return c, nil
		}
		n.waitLocked(&l.changed, l.until)
	}
}

// Close stops listening. Connections that were not accepted are reset.
func (l *listener) Close() error {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.closed {
		return opError("close", l.network, nil, l.addr, net.ErrClosed)
	}
	l.closeLocked()
	return nil
}

func (l *listener) closeLocked() {
	l.closed = true
	delete(l.host.listeners, uint16(l.addr.Port))
	for _, c := range l.queue {
		c.abortLocked(true)
	}
	l.queue = nil
	l.changed.fireLocked()
	l.host.net.changed.fireLocked()
}

// Addr returns a *net.TCPAddr.
func (l *listener) Addr() net.Addr { return l.addr }

// SetDeadline bounds Accept, like the method of net.TCPListener.
func (l *listener) SetDeadline(t time.Time) error {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	if l.closed {
		return opError("set", l.network, nil, l.addr, net.ErrClosed)
	}
	l.until = t
	l.changed.fireLocked()
	return nil
}
