package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sessionproc/sessionproc/transport"
)

// Dial connects to the node at addr for calls, bulk data or standbys. The caller
// exchanges the hellos (see Handshake). ctx and Config.DialTimeout bound the
// connection and the TLS handshake.
//
// If the other node answers that the two nodes do not fit, the error is a
// *transport.RefusedError, which is final. Dial returns it, or the first Read
// does: in TLS 1.3 a server judges the client's certificate after the client's
// handshake is complete.
func (e *Endpoint) Dial(ctx context.Context, addr string, class transport.Class) (net.Conn, error) {
	return e.dial(ctx, addr, purposeOfClass(class))
}

func (e *Endpoint) dial(ctx context.Context, addr string, p purpose) (net.Conn, error) {
	if e.ctx.Err() != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.DialTimeout)
	defer cancel()
	raw, err := e.cfg.Network.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err // names the address
	}
	conn := &answeredConn{Conn: raw, addr: addr, plain: e.tls == nil}
	if e.tls != nil {
		return e.dialTLS(ctx, conn, p)
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write(appendPreface(nil, p)); err != nil {
		_ = raw.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// dialTLS performs the TLS handshake over raw and closes raw if that fails.
func (e *Endpoint) dialTLS(ctx context.Context, raw *answeredConn, p purpose) (net.Conn, error) {
	conn := tls.Client(raw, e.tls.clientFor(p, raw.addr, e.auth.knock()))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		err = dialTLSError(raw.addr, err)
		var final interface{ Refused() bool }
		if errors.As(err, &final) {
			// Log it here: this refusal precedes the hellos, and transport
			// logs only refusals of hellos.
			e.refusals.Log("node: connection not established", raw.RemoteAddr(), err)
		}
		return nil, err
	}
	if conn.ConnectionState().NegotiatedProtocol != alpnNames[p] {
		_ = raw.Close()
		return nil, fmt.Errorf("%s speaks TLS and is no sessionproc node: it did not agree on %s",
			raw.addr, alpnNames[p])
	}
	return &dialledTLS{Conn: conn, addr: raw.addr}, nil
}

// dialTLSError turns the error of a TLS handshake with addr into one that a
// user can act on. A refusal is final: the two configurations do not fit.
// Anything else is an accident of the network, and transport retries.
func dialTLSError(addr string, err error) error {
	var refused *transport.RefusedError
	var cert *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &refused):
		return refused
	case isAlert(err):
		return alertError(addr, err)
	case errors.As(err, &cert):
		return certificateError(addr, cert)
	case errors.As(err, &noTLS):
		return fmt.Errorf("%s is no sessionproc node with a secret or certificates: it does not answer in TLS", addr)
	}
	return fmt.Errorf("TLS with %s: %w", addr, err)
}

// certificateError returns the refusal for a certificate that this node does
// not accept. The text says which setting to change.
func certificateError(addr string, err *tls.CertificateVerificationError) error {
	var name x509.HostnameError
	switch {
	case len(err.UnverifiedCertificates) > 0 && err.UnverifiedCertificates[0].Subject.CommonName == ephemeralName:
		return Mismatchf("the node at %s has a secret and no certificate, this node has certificates (Config.TLS)",
			addr)
	case errors.As(err, &name):
		return Mismatchf("the certificate of the node at %s is not accepted here: %v "+
			"(set Config.TLS.ServerName to a name that is in every node's certificate)", addr, err.Err)
	}
	return Mismatchf("the certificate of the node at %s is not accepted here (Config.TLS): %v", addr, err.Err)
}
