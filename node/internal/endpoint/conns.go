package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sessionproc/sessionproc/transport"
)

// An acceptedConn counts among the strangers until its peer is authenticated or
// it is closed.
type acceptedConn struct {
	net.Conn
	strangers *strangers
	stranger  *stranger
}

func (c *acceptedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.stranger.isEvicted() {
		err = errCrowd // the log counts all of them under one reason
	}
	return n, err
}

func (c *acceptedConn) Close() error {
	c.strangers.leave(c.stranger)
	return c.Conn.Close()
}

// authenticated removes c from the strangers. auth calls it when a hello has
// passed. Without TLS the hello proves nothing, so the peer's address earns no
// places.
func (c *acceptedConn) authenticated() { c.strangers.leave(c.stranger) }

// An acceptedTLS is an accepted connection with TLS. Closing it closes raw.
type acceptedTLS struct {
	*tls.Conn
	provenance
	raw *acceptedConn
}

// authenticated removes the connection from the strangers and reserves places
// for the address of its peer, which has proved that a member is there.
func (c *acceptedTLS) authenticated() {
	c.raw.strangers.prove(c.raw.stranger)
	c.raw.authenticated()
}

// A dialledTLS is the dialer's end of a TLS connection. In TLS 1.3 the server
// verifies the client's certificate after the client considers the handshake
// complete, so an alert may arrive in place of the first answer. Read reports
// such an alert as a refusal.
type dialledTLS struct {
	*tls.Conn
	provenance
	addr  string
	heard bool // data has arrived; used by Read only
}

func (c *dialledTLS) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard = true
	}
	if err != nil && !c.heard && isAlert(err) {
		err = alertError(c.addr, err)
	}
	return n, err
}

// An answeredConn inspects the first byte that a dialled node sends. The byte
// tells four answers apart: a refusal starts with prefaceMagic, TLS with a
// record type, a hello with the 0 of its length (which is below 64 KiB), and
// anything else is no node at all. Read turns the first two, where they are
// unexpected, and the last one into errors that say what is wrong. A connection
// that reaches a web server would otherwise look like a broken hello.
type answeredConn struct {
	net.Conn
	addr  string
	plain bool
	heard bool // data has arrived; used by Read only
}

func (c *answeredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.heard || n == 0 {
		return n, err
	}
	c.heard = true
	switch first := b[0]; {
	case first == prefaceMagic[0]:
		reason, err := readRefusal(io.MultiReader(bytes.NewReader(b[:n:n]), c.Conn))
		if err != nil {
			return 0, fmt.Errorf("truncated refusal from %s: %w", c.addr, err)
		}
		return 0, &transport.RefusedError{Reason: reason}
	case c.plain && (first == tlsAlert || first == tlsHandshake):
		return 0, &transport.RefusedError{Reason: fmt.Sprintf("the node at %s speaks TLS: "+
			"it has a secret or certificates and this node has none (Config.Secret, Config.TLS)", c.addr)}
	case c.plain && first != 0: // the length of a hello is below 64 KiB
		return 0, fmt.Errorf("%s is no sessionproc node: its answer starts with % x", c.addr, b[:min(n, 8)])
	}
	return n, err
}

// alertError returns the refusal for err, which is an alert of the node at
// addr.
func alertError(addr string, err error) error {
	var op *net.OpError
	errors.As(err, &op)
	return &transport.RefusedError{Reason: fmt.Sprintf("the node at %s ended the TLS handshake: %s "+
		"(Config.TLS, Config.Secret)", addr, printable(op.Err.Error()))}
}

// isAlert reports whether err is an alert that the other side's TLS sent.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// A backoff is a pause that doubles from 5 ms to 1 s with each failure in a
// row.
type backoff struct{ last time.Duration } // 0 after a success

// wait sleeps for the next pause. It reports false if ctx ends first.
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

var errCrowd = errors.New("too many unauthenticated connections")

// provenance records the public names of the secrets that the two ends of a
// connection have proved. A name is 0 until its proof. provenance is embedded
// in the connection itself, because transport and memberlist own the connection
// after the handshake, and a rotation of secrets asks later which of the open
// connections are outdated. Only the goroutine that exchanges the hellos writes
// it, before the connection is handed on.
type provenance struct{ own, peer uint32 }

func (p *provenance) proof() *provenance { return p }
