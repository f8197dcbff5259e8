package transport_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// memPair returns two ends of a connection in memory. Each direction buffers
// size bytes, as a socket does; a write beyond that waits for the reader.
func memPair(size int) (a, b *memConn) {
	ab, ba := newMemPipe(size), newMemPipe(size)
	return &memConn{r: ba, w: ab, left: -1}, &memConn{r: ab, w: ba, left: -1}
}

// memConn is one end. The zero value of its faults does nothing.
type memConn struct {
	r, w *memPipe
	addr net.Addr

	mu    sync.Mutex
	left  int           // bytes that may still be written before the connection is cut; -1 any number
	given int           // bytes of all buffers given to Write
	hold  chan struct{} // if not nil, Write waits until it is closed
}

// cutAfter cuts the connection, in both directions, when n more bytes have been written on this end.
func (c *memConn) cutAfter(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.given = n, 0
}

// holdWrites makes Write wait until the returned function is called.
func (c *memConn) holdWrites() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hold := make(chan struct{})
	c.hold = hold
	return func() {
		c.mu.Lock()
		c.hold = nil
		c.mu.Unlock()
		close(hold)
	}
}

func (c *memConn) givenBytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.given
}

var errCut = errors.New("connection was cut")

func (c *memConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.given += len(b)
	if hold := c.hold; hold != nil {
		c.mu.Unlock()
		<-hold
		c.mu.Lock()
	}
	cut := c.left >= 0 && len(b) > c.left
	if cut {
		b = b[:c.left]
	}
	if c.left >= 0 {
		c.left -= len(b)
	}
	c.mu.Unlock()
	n, err := c.w.write(b)
	if cut && err == nil {
		c.w.end(io.EOF)
		c.r.end(errCut)
		err = errCut
	}
	return n, err
}

func (c *memConn) Read(b []byte) (int, error) { return c.r.read(b) }

func (c *memConn) Close() error {
	c.w.end(io.EOF)
	c.r.end(net.ErrClosed)
	c.w.refuse(net.ErrClosed)
	return nil
}

func (c *memConn) LocalAddr() net.Addr { return c.RemoteAddr() }

func (c *memConn) RemoteAddr() net.Addr {
	if c.addr != nil {
		return c.addr
	}
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:7946"))
}

func (c *memConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}
func (c *memConn) SetReadDeadline(t time.Time) error  { c.r.deadline(&c.r.readBy, t); return nil }
func (c *memConn) SetWriteDeadline(t time.Time) error { c.w.deadline(&c.w.writeBy, t); return nil }

// memPipe is one direction.
type memPipe struct {
	mu              sync.Mutex
	cond            *sync.Cond
	buf             []byte
	size            int
	over            error // what a reader gets after the last byte
	refused         error // what a writer gets
	readBy, writeBy memDeadline
}

type memDeadline struct {
	timer   *time.Timer
	expired bool
}

func newMemPipe(size int) *memPipe {
	p := &memPipe{size: size}
	p.cond = sync.NewCond(&p.mu)
	return p
}

func (p *memPipe) deadline(d *memDeadline, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer, d.expired = nil, false
	if t.IsZero() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(t), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if d.timer == timer {
			d.expired = true
			p.cond.Broadcast()
		}
	})
	d.timer = timer
}

func (p *memPipe) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over == nil {
		p.over = err
	}
	if p.refused == nil {
		p.refused = io.ErrClosedPipe
	}
	p.cond.Broadcast()
}

func (p *memPipe) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = err
}

func (p *memPipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.readBy.expired:
			return 0, os.ErrDeadlineExceeded
		case p.over == net.ErrClosed: //nolint:errorlint // set by this end's Close
			return 0, p.over
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			p.cond.Broadcast()
			return n, nil
		case p.over != nil:
			return 0, p.over
		}
		p.cond.Wait()
	}
}

func (p *memPipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		switch {
		case p.refused != nil:
			return n, p.refused
		case p.writeBy.expired:
			return n, os.ErrDeadlineExceeded
		case len(p.buf) < p.size:
			m := min(len(b), p.size-len(p.buf))
			p.buf = append(p.buf, b[:m]...)
			b, n = b[m:], n+m
			p.cond.Broadcast()
			continue
		}
		p.cond.Wait()
	}
	return n, nil
}
