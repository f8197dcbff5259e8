package endpoint

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/internal/logtest"
	"github.com/sessionproc/sessionproc/transport"
)

// A portLog keeps what an endpoint logs.
type portLog struct{ logtest.Log }

func (l *portLog) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// says waits for a line with the text.
func (l *portLog) says(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return bytes.Contains([]byte(l.String()), []byte(text)) },
		30*time.Second, 5*time.Millisecond, "no line with %s in:\n%s", text, portLogText{l})
}

// portLogText is read when a failure is printed, not before.
type portLogText struct{ l *portLog }

func (t portLogText) String() string { return t.l.String() }

// An openPort is an endpoint that serves as transport would: it exchanges hellos, says "hi" and closes.
type openPort struct {
	*Endpoint
	log *portLog
}

func testEndpointConfig() Config {
	return Config{
		Cluster: "shop", Slot: "a", Boot: 7, Fingerprint: 0xf1, Ring: "1021 partitions", Kinds: []string{"cart"},
		HandshakeTimeout: 2 * time.Second,
	}
}

var checkedForLeaks sync.Map // testing.TB to nothing

// checkLeaks looks for goroutines when everything else that the test has opened is closed:
// call it before opening anything.
func checkLeaks(t *testing.T) {
	if _, again := checkedForLeaks.LoadOrStore(t, nil); again {
		return
	}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// openEndpoint opens one that is closed at the end of the test.
func openEndpoint(t *testing.T, change func(*Config)) *openPort {
	t.Helper()
	cfg := testEndpointConfig()
	log := new(portLog)
	cfg.Logger = log.logger()
	if change != nil {
		change(&cfg)
	}
	checkLeaks(t)
	e, err := New(t.Context(), cfg)
	require.NoError(t, err)
	p := &openPort{e, log}
	p.Serve(func(conn net.Conn, _ transport.Class) {
		defer conn.Close()
		if _, err := transport.Shake(conn, e.Handshake(), false, cfg.HandshakeTimeout); err != nil {
			e.refuse(conn.RemoteAddr(), err)
			return
		}
		_, _ = conn.Write([]byte("hi"))
	})
	t.Cleanup(func() {
		require.NoError(t, e.Close())
		require.NoError(t, e.Close(), "closing again")
	})
	return p
}

// meet is what transport does to have a peer: dial, hellos, and here one word.
func (p *openPort) meet(addr string, class transport.Class) (peer, word string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := p.Dial(ctx, addr, class)
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	if peer, err = transport.Shake(conn, p.Handshake(), true, 3*time.Second); err != nil {
		p.refusals.Log("test: connection not established", conn.RemoteAddr(), err) // as transport does
		return "", "", err
	}
	b := make([]byte, 2)
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err = conn.Read(b); err != nil {
		return peer, "", err
	}
	return peer, string(b), nil
}

// An authority signs certificates for a test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{key, cert, pool}
}

// config is what a user would give a node: a certificate for the name and for 127.0.0.1.
func (a *authority) config(t *testing.T, name string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		DNSNames:    []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: a.pool}
}
