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

// listenBoth opens the same port for TCP and UDP. For port 0 the system chooses
// a free TCP port. The UDP port of that number may be taken, so listenBoth
// tries again some times.
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

// acceptLoop accepts connections until the listener is closed. Other errors of
// Accept are temporary (no file descriptor is left, or a peer closed its
// connection early), so the loop retries after a pause and logs only the first
// of several in a row.
func (e *Endpoint) acceptLoop(accept func(net.Conn, transport.Class)) {
	var pause backoff
	for {
		conn, err := e.tcp.Accept()
		if err != nil {
			if e.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			if pause.last == 0 {
				e.log.Error("node: cannot accept connections; retrying", "err", err)
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

// receive identifies an accepted connection and hands it to gossip or to
// accept.
func (e *Endpoint) receive(raw *acceptedConn, accept func(net.Conn, transport.Class)) {
	_ = raw.SetDeadline(time.Now().Add(e.cfg.HandshakeTimeout))
	conn, p, rejected := e.identify(raw)
	if rejected != nil {
		e.turnAway(raw, rejected)
		return
	}
	if p == forGossip {
		e.gossip.receive(conn)
		return
	}
	_ = conn.SetDeadline(time.Time{}) // transport sets its own
	accept(conn, p.class())
}

// An unwelcome says why a connection is turned away.
type unwelcome struct {
	reason string
	answer bool // send the reason: the dialer is a node, or may be one
	silent bool // log nothing: the peer sent no byte, as health checks and port scans do
}

// identify reads the preface, or performs the TLS handshake, and returns the
// connection and its purpose. It reads nothing beyond that.
func (e *Endpoint) identify(raw *acceptedConn) (net.Conn, purpose, *unwelcome) {
	var head [prefaceLen]byte
	if _, err := io.ReadFull(raw, head[:1]); err != nil {
		late := errors.Is(err, os.ErrDeadlineExceeded)
		return nil, 0, &unwelcome{reason: "no data in time", silent: !late}
	}
	switch {
	case head[0] == tlsHandshake && e.tls != nil:
		return e.acceptTLS(raw, head[0])
	case head[0] == tlsHandshake:
		return nil, 0, &unwelcome{reason: fmt.Sprintf("the dialling node speaks TLS, "+
			"the node at %s has neither a secret nor certificates (Config.Secret, Config.TLS)", e.Addr()), answer: true}
	case head[0] != prefaceMagic[0]:
		n, _ := raw.Read(head[1:]) // the next bytes name the protocol, if they are there already
		return nil, 0, &unwelcome{reason: strangerText(head[:1+n])}
	}
	if _, err := io.ReadFull(raw, head[1:]); err != nil {
		return nil, 0, &unwelcome{reason: "truncated preface"}
	}
	p, err := readPurpose(head[:])
	switch {
	case err != nil:
		return nil, 0, &unwelcome{reason: err.Error(), answer: true}
	case p == forRefusal:
		return nil, 0, &unwelcome{reason: "the connection began with a refusal"}
	case e.tls != nil && e.tls.certs:
		return nil, 0, &unwelcome{reason: fmt.Sprintf("the node at %s speaks TLS with certificates, "+
			"the dialling node does not (Config.TLS)", e.Addr()), answer: true}
	case e.tls != nil:
		return nil, 0, &unwelcome{reason: fmt.Sprintf("the node at %s has a secret, the dialling node has none "+
			"(Config.Secret)",
			e.Addr()), answer: true}
	}
	return raw, p, nil
}

// acceptTLS performs the TLS handshake, whose first byte has been read. The
// turnstile paces the handshake, and Config.HandshakeTimeout bounds it.
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
		return nil, 0, &unwelcome{reason: "TLS: the client offered no protocol of sessionproc"}
	}
	return &acceptedTLS{Conn: conn, raw: raw}, p, nil
}

// handshakeText describes the error of a failed handshake. Accidents of the
// network have the same text each, so that the log can count them.
func handshakeText(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "the handshake did not end in time"
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return "the connection ended in the handshake"
	}
	return printable(err.Error())
}

// turnAway logs why, sends the reason if the dialer can understand it, and
// closes the connection. It does not log connections that were closed to make
// room: admit's caller has logged those.
func (e *Endpoint) turnAway(raw *acceptedConn, why *unwelcome) {
	defer func() { _ = raw.Close() }()
	if why.silent || e.ctx.Err() != nil || raw.stranger.isEvicted() {
		return
	}
	e.refuse(raw.RemoteAddr(), errors.New(why.reason))
	if why.answer {
		_, _ = raw.Write(appendRefusal(nil, why.reason))
	}
	linger(raw.Conn)
}

// linger waits until the peer has read what was written. If a socket is closed
// while it holds unread bytes, the kernel resets the connection and the answer
// is lost. linger ends when the peer closes, after half a second, or after 64
// KiB.
func linger(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	_, _ = io.CopyN(io.Discard, conn, 64<<10)
}
