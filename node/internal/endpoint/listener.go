package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/sessionproc/sessionproc/transport"
)

// listenBoth takes the same port for TCP and UDP. For port 0 the system chooses by TCP; if UDP has that one taken, it chooses again.
func listenBoth(ctx context.Context, on Network, at bindAddr) (net.Listener, packetConn, uint16, error) {
	const tries = 10
	for try := 1; ; try++ {
		tcp, err := on.Listen(ctx, "tcp"+at.family, at.String())
		if err != nil {
			return nil, nil, 0, listenError("TCP", at.String(), err)
		}
		port, err := portOf(tcp.Addr())
		if err != nil {
			_ = tcp.Close()
			return nil, nil, 0, err
		}
		same := net.JoinHostPort(at.host, strconv.Itoa(int(port)))
		udp, err := on.ListenPacket(ctx, "udp"+at.family, same)
		if err == nil {
			return tcp, packetConnOf(udp), port, nil
		}
		_ = tcp.Close()
		if at.port != 0 || try == tries {
			return nil, nil, 0, listenError("UDP", same, err)
		}
	}
}

func listenError(network, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("Config.Bind: %s port %s is taken: %w", network, addr, err)
	}
	return fmt.Errorf("Config.Bind: cannot listen on %s %s: %w", network, addr, err)
}

// A backoff doubles from 5 ms to 1 s.
type backoff struct{ last time.Duration }

// wait sleeps; it reports false when ctx has ended.
func (b *backoff) wait(ctx context.Context) bool {
	b.last = min(max(2*b.last, 5*time.Millisecond), time.Second)
	t := time.NewTimer(b.last)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var errCrowd = errors.New("too many connections whose peer is not known yet")

// refuse notes a connection that was not taken; the log bounds how often that becomes a line.
func (e *Endpoint) refuse(from net.Addr, why error) {
	e.refusals.Log("node: connection refused", from, why)
}

// acceptLoop ends when the listener is closed. Errors of accept are temporary (no file descriptor left, a peer that is gone already).
func (e *Endpoint) acceptLoop(accept func(net.Conn, transport.Class)) {
	var pause backoff
	for {
		conn, err := e.tcp.Accept()
		if err != nil {
			if e.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			if pause.last == 0 {
				e.log.Error("node: cannot accept connections, will try again", "err", err)
			}
			if !pause.wait(e.ctx) {
				return
			}
			continue
		}
		pause.last = 0
		st, out := e.strangers.admit(conn)
		if out != nil {
			e.refuse(out.conn.RemoteAddr(), errCrowd)
		}
		if st == nil { // the endpoint is closed
			_ = conn.Close()
			return
		}
		raw := &acceptedConn{Conn: conn, stranger: st, strangers: e.strangers}
		e.tasks.Go(func() { e.receive(raw, accept) })
	}
}

// receive finds out what an accepted connection is for and gives it there.
func (e *Endpoint) receive(raw *acceptedConn, accept func(net.Conn, transport.Class)) {
	_ = raw.SetDeadline(time.Now().Add(e.cfg.HandshakeTimeout))
	conn, p, unwelcome := e.identify(raw)
	if unwelcome != nil {
		e.turnAway(raw, unwelcome)
		return
	}
	if p == forGossip {
		e.gossip.receive(conn)
		return
	}
	_ = conn.SetDeadline(time.Time{}) // transport sets its own
	accept(conn, p.class())
}

// An unwelcome connection is none of ours.
type unwelcome struct {
	reason string
	answer bool // the dialer is a node, or may be one: it is told the reason
	silent bool // it said nothing and went: a health check or a port scan, not worth a line
}

// identify reads the preface or shakes TLS's hands. Nothing else is read.
func (e *Endpoint) identify(raw *acceptedConn) (net.Conn, purpose, *unwelcome) {
	var head [prefaceLen]byte
	if _, err := io.ReadFull(raw, head[:1]); err != nil {
		late := errors.Is(err, os.ErrDeadlineExceeded)
		return nil, 0, &unwelcome{reason: "it said nothing in time", silent: !late}
	}
	switch {
	case head[0] == tlsHandshake && e.tls != nil:
		return e.acceptTLS(raw, head[0])
	case head[0] == tlsHandshake:
		return nil, 0, &unwelcome{reason: fmt.Sprintf("the dialling node speaks TLS, the node at %s has neither a secret nor certificates "+
			"(Config.Secret, Config.TLS)", e.Addr()), answer: true}
	case head[0] != prefaceMagic[0]:
		n, _ := raw.Read(head[1:]) // to name it; it may have no more to say
		return nil, 0, &unwelcome{reason: strangerText(head[:1+n])}
	}
	if _, err := io.ReadFull(raw, head[1:]); err != nil {
		return nil, 0, &unwelcome{reason: "its preface ended early"}
	}
	p, err := readPurpose(head[:])
	switch {
	case err != nil:
		return nil, 0, &unwelcome{reason: err.Error(), answer: true}
	case p == forRefusal:
		return nil, 0, &unwelcome{reason: "it began with a refusal"}
	case e.tls != nil && e.tls.certs:
		return nil, 0, &unwelcome{reason: fmt.Sprintf("the node at %s speaks TLS with certificates, the dialling node does not (Config.TLS)",
			e.Addr()), answer: true}
	case e.tls != nil:
		return nil, 0, &unwelcome{reason: fmt.Sprintf("the node at %s has a secret, the dialling node has none (Config.Secret)",
			e.Addr()), answer: true}
	}
	return raw, p, nil
}

func (e *Endpoint) acceptTLS(raw *acceptedConn, first byte) (net.Conn, purpose, *unwelcome) {
	turns := &turnedConn{acceptedConn: raw, turnstile: e.turnstile, knocks: &e.knocks, keys: e.auth.keys.Load(),
		head: []byte{first}, until: time.Now().Add(e.cfg.HandshakeTimeout)}
	conn := tls.Server(turns, e.tls.server)
	err := conn.HandshakeContext(e.ctx)
	turns.done()
	if err != nil {
		return nil, 0, &unwelcome{reason: "TLS: " + handshakeText(err)}
	}
	p, ok := purposeOfALPN(conn.ConnectionState().NegotiatedProtocol)
	if !ok {
		return nil, 0, &unwelcome{reason: "TLS: it did not ask for a protocol of sessionproc"}
	}
	return &acceptedTLS{Conn: conn, raw: raw}, p, nil
}

// handshakeText is the reason of a failed handshake.
func handshakeText(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "the handshake did not end in time"
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return "the connection ended in the handshake"
	}
	return printable(err.Error())
}

// turnAway logs why, tells the dialer if it can understand it, and closes.
func (e *Endpoint) turnAway(raw *acceptedConn, why *unwelcome) {
	defer func() { _ = raw.Close() }()
	if why.silent || e.ctx.Err() != nil || raw.stranger.hadToGo() {
		return
	}
	e.refuse(raw.RemoteAddr(), errors.New(why.reason))
	if why.answer {
		_, _ = raw.Write(appendRefusal(nil, why.reason))
	}
	linger(raw.Conn)
}

// linger lets what was written arrive: closing with unread bytes in the socket would reset the connection and lose it.
// It ends when the other side closes, after half a second or 64 KiB.
func linger(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	_, _ = io.CopyN(io.Discard, conn, 64<<10)
}

// An acceptedConn is counted among the strangers until its peer is known or it is closed.
type acceptedConn struct {
	net.Conn
	strangers *strangers
	stranger  *stranger
}

func (c *acceptedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.stranger.hadToGo() {
		err = errCrowd // one reason for all of them in the log
	}
	return n, err
}

func (c *acceptedConn) Close() error {
	c.strangers.leave(c.stranger)
	return c.Conn.Close()
}

// authenticated tells that auth takes the peer for a member. Without TLS that
// proves nothing.
func (c *acceptedConn) authenticated() { c.strangers.leave(c.stranger) }

// An acceptedTLS is the same under TLS; closing it closes raw.
type acceptedTLS struct {
	*tls.Conn
	provenance
	raw *acceptedConn
}

func (c *acceptedTLS) authenticated() {
	c.raw.strangers.prove(c.raw.stranger)
	c.raw.authenticated()
}
