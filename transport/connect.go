package transport

import (
	"net"
)

// add starts the goroutines of c. It reports false if the transport is closed.
func (t *Transport) add(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.conns[c] = struct{}{}
	t.wg.Go(c.flush)
	t.wg.Go(func() {
		c.read()
		t.mu.Lock()
		delete(t.conns, c)
		t.mu.Unlock()
	})
	return true
}

// shake calls Shake in a way that Close can interrupt.
func (t *Transport) shake(nc net.Conn, dialer bool) (peer string, err error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return "", ErrClosed
	}
	t.shaking[nc] = struct{}{}
	t.mu.Unlock()
	peer, err = Shake(nc, t.cfg.Handshake, dialer, t.cfg.HandshakeTimeout)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.shaking, nc)
	if t.closed {
		err = ErrClosed
	}
	return peer, err
}
