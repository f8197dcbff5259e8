package transport

import (
	"context"
	"io"
	"net"
	"time"
)

// closeGrace is how long Close waits for connections to write the answers that
// were given before it.
const closeGrace = time.Second

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
// serves requests (Calls) or streams (Bulk, Standby), all on goroutines of its own.
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
