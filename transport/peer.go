package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// After a failed dial the next one waits, for between half and one and a half times the
// backoff. The backoff doubles with each failure in a row.
const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = time.Second
)

func newPeer(t *Transport, addr string) *Peer {
	p := &Peer{t: t, addr: addr}
	p.calls.peer, p.bulk.peer, p.standby.peer = p, p, p
	p.bulk.class, p.standby.class = Bulk, Standby
	return p
}

// Addr returns the address.
func (p *Peer) Addr() string { return p.addr }

// Connect dials and exchanges hellos now, unless the peer is connected. It
// returns the name that Handshake.Check returned for the peer. Connect ignores
// the back-off after a failed dial. If the peer refuses, the error is a
// *RefusedError (errors.As). An error by which this side refuses the peer also
// has a method Refused that returns true.
func (p *Peer) Connect(ctx context.Context) (peer string, err error) {
	c, err := p.calls.get(ctx, true)
	if err != nil {
		return "", err
	}
	return c.peer, nil
}

// Call sends r and waits for the answer. It returns the reply, an *Error from
// the peer, or an error for which Sent reports whether r may have left. When
// ctx ends, Call returns its error (errors.Is) at once and the peer's handler
// is notified; a later reply is dropped. If the peer has said what r waited
// for, Why returns that. The time that ctx has left travels with the request.
//
// Requests of one goroutine arrive in the order in which it made them, as long
// as the connection lasts.
func (p *Peer) Call(ctx context.Context, r *Request) (Reply, error) {
	w, err := p.do(ctx, kindCall, r)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Flags: w.flags, Payload: w.payload, t: p.t, p: w, uses: w.uses.Load()}, nil
}

// Cast sends r and returns nil once the peer's handler has called Ack. In all
// other respects Cast is like Call.
func (p *Peer) Cast(ctx context.Context, r *Request) error {
	w, err := p.do(ctx, kindCast, r)
	if err != nil {
		return err
	}
	p.t.putPending(w)
	return nil
}

// do sends r and waits for its answer. A connection may end between get and
// send; then nothing was sent, and do tries once more on a new connection.
func (p *Peer) do(ctx context.Context, kind byte, r *Request) (*pending, error) {
	size := r.size()
	if err := r.validate(size, p.t.cfg.MaxFrame); err != nil {
		return nil, &unsent{err}
	}
	for retried := false; ; retried = true {
		c, err := p.calls.get(ctx, false)
		if err != nil {
			return nil, err
		}
		w, err := c.send(ctx, kind, r, size)
		if err != nil {
			p.calls.dropIfEnded(c)
			if !retried && ctx.Err() == nil {
				continue // the connection ended before the request was made
			}
			return nil, &unsent{err}
		}
		if err := c.wait(ctx, w); err != nil {
			p.t.putPending(w)
			return nil, err
		}
		return w, nil
	}
}

// Open opens a stream on the bulk connection. header has at most MaxChunk bytes
// and reaches the peer's ServeStream with the stream. Open does not wait for
// the peer. If the peer refuses the stream, Send and Recv return the error.
func (p *Peer) Open(ctx context.Context, header []byte) (*Stream, error) {
	return p.bulk.open(ctx, header)
}

// OpenStandby opens a stream on the connection of class Standby. In all other respects
// OpenStandby is like Open.
func (p *Peer) OpenStandby(ctx context.Context, header []byte) (*Stream, error) {
	return p.standby.open(ctx, header)
}

func (l *link) open(ctx context.Context, header []byte) (*Stream, error) {
	c, err := l.get(ctx, false)
	if err != nil {
		return nil, err
	}
	return c.streams.start(ctx, &c.conn, header)
}

// forget ends the connections for good.
func (p *Peer) forget() {
	p.calls.forget()
	p.bulk.forget()
	p.standby.forget()
}

// get returns the connection. It dials if there is none. now skips the
// back-off. All errors are unsent.
func (l *link) get(ctx context.Context, now bool) (*client, error) {
	if c := l.live.Load(); c != nil {
		return c, nil
	}
	d, err := l.attempt(now)
	if err != nil {
		return nil, &unsent{err}
	}
	select {
	case <-d.done:
		return d.c, d.err
	case <-ctx.Done():
		return nil, &unsent{fmt.Errorf("transport: dial %s: %w", l.peer.addr, ctx.Err())}
	}
}

// attempt returns the attempt in progress, or starts one. It returns the last
// error if the back-off is not over.
func (l *link) attempt(now bool) (*dialing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peer.t.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if l.gone {
		return nil, fmt.Errorf("transport: peer %s was forgotten: %w", l.peer.addr, ErrClosed)
	}
	if l.dialing != nil {
		return l.dialing, nil
	}
	if !now && time.Now().Before(l.until) {
		return nil, l.err
	}
	d := &dialing{done: make(chan struct{})}
	if c := l.live.Load(); c != nil { // another attempt ended after get loaded live
		d.c = c
		close(d.done)
		return d, nil
	}
	if !l.peer.t.spawn(func() { l.dial(d) }) {
		return nil, ErrClosed
	}
	l.dialing = d
	return d, nil
}

// dial is the goroutine of an attempt. The transport waits for it.
//
// live is stored under l.mu, and forget sets gone under l.mu, so forget either
// finds the client in live or dial finds gone set. c.start comes after the
// unlock and before done is closed: a caller may append to the output of a
// client that is not started.
func (l *link) dial(d *dialing) {
	c, err := l.connect()
	l.mu.Lock()
	l.dialing = nil
	switch {
	case l.peer.t.ctx.Err() != nil:
		err = ErrClosed
	case l.gone:
		err = fmt.Errorf("transport: peer %s was forgotten: %w", l.peer.addr, ErrClosed)
	}
	if err != nil {
		l.backoff = min(max(2*l.backoff, firstBackoff), lastBackoff)
		l.until = time.Now().Add(l.backoff/2 + rand.N(l.backoff))
		l.err = err
		d.err = &unsent{err}
	} else {
		l.backoff, l.until, l.err = 0, time.Time{}, nil
		d.c = c
		l.live.Store(c)
	}
	l.mu.Unlock()
	switch {
	case err == nil:
		c.start()
	case c != nil:
		_ = c.nc.Close()
	case errors.Is(err, syscall.ECONNREFUSED) && l.peer.t.cfg.Refused != nil:
		l.peer.t.cfg.Refused(l.peer.addr)
	}
	close(d.done)
}

// connect dials and exchanges the hellos.
func (l *link) connect() (*client, error) {
	t, addr := l.peer.t, l.peer.addr
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.DialTimeout)
	defer cancel()
	nc, err := t.cfg.Dial(ctx, addr, l.class)
	if err != nil {
		return nil, fmt.Errorf("transport: dial %s: %w", addr, err)
	}
	name, err := t.shake(nc, true)
	if err != nil {
		_ = nc.Close()
		t.logRefusal("transport: connection not established", nc.RemoteAddr(), err)
		return nil, fmt.Errorf("transport: connect %s: %w", addr, err)
	}
	c := newClient(l)
	c.init(t, nc, name, l.class, c)
	c.label = addr
	return c, nil
}

// dropIfEnded drops c if it has ended. A client that is only closing was
// dropped by retire, or the transport is closed.
func (l *link) dropIfEnded(c *client) {
	c.mu.Lock()
	ended := c.err != nil
	c.mu.Unlock()
	if ended {
		l.drop(c)
	}
}

func (l *link) forget() {
	l.mu.Lock()
	l.gone = true
	c := l.live.Load()
	l.mu.Unlock()
	if c != nil {
		c.fail(fmt.Errorf("peer was forgotten: %w", ErrClosed))
	}
}
