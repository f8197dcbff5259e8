package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = time.Second
)

// Peer is the way to the node at one address. It has at most one connection
// of each Class, dialled on first use and again on the next use after it has
// ended or was retired. All methods may be called concurrently.
type Peer struct {
	t     *Transport
	addr  string
	calls link
	bulk  link
}

func newPeer(t *Transport, addr string) *Peer {
	p := &Peer{t: t, addr: addr}
	p.calls.peer, p.bulk.peer = p, p
	p.bulk.class = Bulk
	return p
}

// Addr returns the address.
func (p *Peer) Addr() string { return p.addr }

// Connect dials and shakes hands now, unless the peer is connected, and
// returns the name that Handshake.Check gave it. It does not wait for a
// back-off. A refusal by the peer is a *RefusedError (errors.As); a refusal by
// this side has Refused() == true as well.
func (p *Peer) Connect(ctx context.Context) (peer string, err error) {
	c, err := p.calls.get(ctx, true)
	if err != nil {
		return "", err
	}
	return c.peer, nil
}

// Call sends r and waits for the answer: the reply, an *Error from the peer,
// or an error that Sent can tell more about. When ctx ends, Call returns its
// error (errors.Is) at once and the peer's handler is told; a reply that comes
// later is dropped. If the peer has said what r waited for, Why tells it. The
// time that ctx has left travels with the request.
//
// Requests of one goroutine arrive in the order in which it made them as long
// as the connection lasts.
func (p *Peer) Call(ctx context.Context, r *Request) (Reply, error) {
	w, err := p.do(ctx, kindCall, r)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Flags: w.flags, Payload: w.payload, t: p.t, p: w, uses: w.uses.Load()}, nil
}

// Cast sends r and returns nil when the peer's handler has called Ack. For
// the rest it is as Call.
func (p *Peer) Cast(ctx context.Context, r *Request) error {
	w, err := p.do(ctx, kindCast, r)
	if err != nil {
		return err
	}
	p.t.putPending(w)
	return nil
}

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
				continue // it ended just before the request was made
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

// Open opens a stream on the bulk connection. header, at most MaxChunk bytes,
// reaches the peer's ServeStream with it. Open does not wait for the peer: if
// that refuses, Send and Recv say so.
func (p *Peer) Open(ctx context.Context, header []byte) (*Stream, error) {
	c, err := p.bulk.get(ctx, false)
	if err != nil {
		return nil, err
	}
	return c.streams.start(ctx, &c.conn, header)
}

// forget ends the connections for good.
func (p *Peer) forget() {
	p.calls.forget()
	p.bulk.forget()
}

// link is a connection of one class that comes into being when it is asked for.
type link struct {
	peer  *Peer
	class Class
	live  atomic.Pointer[client]

	mu      sync.Mutex // guards the rest
	dialing *dialing   // nil if none is in progress
	gone    bool
	backoff time.Duration // the last one; 0 after a success
	until   time.Time
	err     error // of the last dial, told until then
}

// dialing is an attempt that its callers share; c and err are set before done is closed.
type dialing struct {
	done chan struct{}
	c    *client
	err  error
}

// get returns the connection, dialling if there is none. Its errors are unsent.
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

// attempt returns the attempt in progress, or begins one, unless the last one
// has just failed.
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
	if c := l.live.Load(); c != nil { // since the caller looked
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

// dial is the goroutine of an attempt; the transport waits for it.
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
	}
	close(d.done)
}

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

// drop makes the next use dial again.
func (l *link) drop(c *client) { l.live.CompareAndSwap(c, nil) }

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
