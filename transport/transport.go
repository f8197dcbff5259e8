package transport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// closeGrace is how long Close waits for connections to write the answers that
// were given before it.
const closeGrace = time.Second

// Transport carries requests and streams to and from peers. All methods may be
// called concurrently.
type Transport struct {
	cfg      Config
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	refusals *RefusalLog
	inflight inflight // bytes of unanswered requests from all peers
	// slots holds *pending. Each transport has a pool of its own, because a pending
	// contains a channel: under synctest a channel belongs to one bubble.
	slots  sync.Pool
	chunks sync.Pool // of *[chunkSize]byte
	wg     sync.WaitGroup

	peers sync.Map // addr -> *Peer

	mu      sync.Mutex             // guards the rest
	closed  bool                   // no goroutine is started any more; see spawn
	conns   map[*conn]struct{}     // whose goroutines run
	shaking map[io.Closer]struct{} // in their handshake, for Close to interrupt
}

// New returns a Transport without connections, or an error that names the field
// of cfg that is invalid. The caller must close the Transport.
func New(cfg Config) (*Transport, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Transport{
		cfg:      cfg,
		refusals: NewRefusalLog(cfg.Logger),
		conns:    map[*conn]struct{}{},
		shaking:  map[io.Closer]struct{}{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.slots.New = func() any { return &pending{done: make(chan struct{}, 1)} }
	t.spawn(t.keep)
	return t, nil
}

// Accept takes over an accepted connection. It exchanges the hellos and then
// serves requests (Calls) or streams (Bulk), all on goroutines of its own.
// Accept closes nc at once if the transport is closed. How many connections may be
// unauthenticated at a time is decided by the caller.
func (t *Transport) Accept(nc net.Conn, class Class) {
	if !t.spawn(func() { t.accept(nc, class) }) {
		_ = nc.Close()
	}
}

func (t *Transport) accept(nc net.Conn, class Class) {
	addr := nc.RemoteAddr()
	name, err := t.shake(nc, false)
	if err != nil {
		_ = nc.Close()
		t.logRefusal("transport: connection refused", addr, err)
		return
	}
	s := &server{}
	s.init(t, nc, name, class, s)
	s.start()
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

// Peer returns the Peer for addr, "host:port". It returns the same one until
// Forget.
func (t *Transport) Peer(addr string) *Peer {
	if p, ok := t.peers.Load(addr); ok {
		return p.(*Peer)
	}
	p, _ := t.peers.LoadOrStore(addr, newPeer(t, addr))
	return p.(*Peer)
}

// Forget ends the connections to addr. Requests in progress on them fail with
// ErrClosed, as do all later ones on that *Peer. After Forget the method Peer
// makes a new *Peer.
func (t *Transport) Forget(addr string) {
	if p, ok := t.peers.LoadAndDelete(addr); ok {
		p.(*Peer).forget()
	}
}

// Close ends every connection. It returns when all goroutines of the transport
// have ended, including the handler's ServeStream. Answers given before Close
// are still written, for a second at most. Requests that arrive in the meantime
// are refused with CodeClosing. Pending requests fail with ErrClosed.
//
// Close is idempotent and always returns nil. A method of the handler must not
// call it: Close would wait for that method.
func (t *Transport) Close() error {
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	conns := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	shaking := make([]io.Closer, 0, len(t.shaking))
	for nc := range t.shaking {
		shaking = append(shaking, nc)
	}
	t.mu.Unlock()
	if !first {
		t.wg.Wait()
		return nil
	}
	t.cancel()
	for _, nc := range shaking {
		_ = nc.Close()
	}
	for _, c := range conns {
		c.shutdown()
	}
	force := time.AfterFunc(closeGrace, func() {
		for _, c := range conns {
			c.fail(ErrClosed)
		}
	})
	t.wg.Wait()
	force.Stop()
	return nil
}

// spawn runs f on a goroutine that Close waits for. It reports false, without
// running f, if the transport is closed. The check and wg.Go happen under one
// lock, so that Close never waits on a group that still grows.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(f)
	return true
}

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

// keep is the goroutine that sends pings on every connection and ends silent
// ones. It calls tick without t.mu, since tick takes conn.mu and may end the
// connection.
func (t *Transport) keep() {
	ticker := time.NewTicker(t.cfg.PingInterval)
	defer ticker.Stop()
	var conns []*conn
	for {
		select {
		case <-ticker.C:
		case <-t.ctx.Done():
			return
		}
		t.mu.Lock()
		for c := range t.conns {
			conns = append(conns, c)
		}
		t.mu.Unlock()
		for _, c := range conns {
			c.tick()
		}
		clear(conns)
		conns = conns[:0]
	}
}

// logRefusal logs why a handshake failed, unless Close interrupted it.
func (t *Transport) logRefusal(msg string, addr net.Addr, err error) {
	if !errors.Is(err, ErrClosed) {
		t.refusals.Log(msg, addr, err)
	}
}

// logEnd logs why a connection ended. Faults of the peer are warnings, at a
// bounded rate. Everything else is for debugging: connections end whenever a
// node stops.
func (t *Transport) logEnd(c *conn, err error) {
	switch {
	case errors.Is(err, errProtocol), errors.Is(err, errSilent), errors.Is(err, errSlowReader):
		t.refusals.Log("transport: connection ended", c.nc.RemoteAddr(), err,
			slog.String("peer", c.peer), slog.String("class", c.class.String()))
	default:
		t.cfg.Logger.Debug("transport: connection ended", "peer", c.peer, "class", c.class.String(), "err", err)
	}
}

// getPending returns a pending from the pool.
func (t *Transport) getPending() *pending { return t.slots.Get().(*pending) }

// putPending returns p to the pool. No other goroutine may refer to p, and its
// channel must be empty: a signal left in it would answer the next request at
// once.
func (t *Transport) putPending(p *pending) {
	p.payload, p.err, p.flags = nil, nil, 0
	if cap(p.buf) > keepBuf {
		p.buf = nil
	}
	t.slots.Put(p)
}
