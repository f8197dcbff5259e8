package endpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// A tlsMode is how this node speaks TLS. A nil *tlsMode means that it does not.
// Each connection performs a full handshake of TLS 1.3, and no session is ever
// resumed: so an exporter belongs to one connection, and a removed secret or
// certificate is refused at the next connection.
type tlsMode struct {
	server *tls.Config
	client *tls.Config // a template: each connection has its own NextProtos and ServerName
	certs  bool        // both ends show certificates (Config.TLS)
}

// newTLSMode returns the mode for the user's configuration. If there is only a
// secret, the node makes a certificate of its own.
func newTLSMode(user *tls.Config, secret bool) (*tlsMode, error) {
	switch {
	case user != nil:
		return userTLS(user)
	case secret:
		return ephemeralTLS()
	}
	return nil, nil
}

// ephemeralTLS returns the mode of a node that has a secret and no
// certificates. TLS only encrypts; the hello authenticates. The code in a hello
// covers the connection's exporter, so an attacker between two nodes, with
// certificates of its own, has no code that fits either side. That is why no
// certificate is verified here.
func ephemeralTLS() (*tlsMode, error) {
	cert, err := ephemeralCertificate()
	if err != nil {
		return nil, fmt.Errorf("making a TLS certificate: %w", err)
	}
	server := &tls.Config{Certificates: []tls.Certificate{cert}}
	client := &tls.Config{InsecureSkipVerify: true}
	return harden(server, client, false), nil
}

// ephemeralName is the subject of every such certificate. A node with
// certificates recognizes it and says in its error that the other node has only
// a secret.
const ephemeralName = "sessionproc node with a secret"

// ephemeralCertificate makes a self-signed certificate that lives as long as
// the process.
func ephemeralCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: ephemeralName},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.AddDate(100, 0, 0), // not checked by any node
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// userTLS makes the user's configuration mutual: each end shows a certificate
// and verifies the other's. If ServerName is set, both ends also insist on that
// name. The server can do so too, because every node is dialled and so has the
// name in its certificate.
func userTLS(user *tls.Config) (*tlsMode, error) {
	if err := checkUserTLS(user); err != nil {
		return nil, err
	}
	server, client := user.Clone(), user.Clone()
	server.ClientAuth = tls.RequireAndVerifyClientCert
	if server.ClientCAs == nil {
		server.ClientCAs = user.RootCAs
	}
	if client.RootCAs == nil {
		client.RootCAs = user.ClientCAs
	}
	if name := user.ServerName; name != "" {
		server.VerifyConnection = func(state tls.ConnectionState) error {
			if err := state.PeerCertificates[0].VerifyHostname(name); err != nil {
				return err
			}
			if user.VerifyConnection != nil {
				return user.VerifyConnection(state)
			}
			return nil
		}
	}
	return harden(server, client, true), nil
}

// checkUserTLS refuses configurations that would let a stranger join, and such
// that would fail only when the first connection is made.
func checkUserTLS(c *tls.Config) error {
	switch {
	case c.InsecureSkipVerify:
		return errors.New("Config.TLS.InsecureSkipVerify is set: anybody could join; " +
			"set RootCAs, or leave Config.TLS out and use Config.Secret")
	case c.GetConfigForClient != nil:
		return errors.New("Config.TLS.GetConfigForClient is set: it could undo the verification; " +
			"use GetCertificate and GetClientCertificate to renew certificates")
	case c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS13:
		return errors.New("Config.TLS.MaxVersion is below TLS 1.3, and nodes speak nothing older")
	case len(c.Certificates) == 0 && c.GetCertificate == nil:
		return errors.New("Config.TLS.Certificates is empty and GetCertificate is not set: " +
			"a node shows a certificate when it is dialled")
	case len(c.Certificates) == 0 && c.GetClientCertificate == nil:
		return errors.New("Config.TLS.Certificates is empty and GetClientCertificate is not set: " +
			"a node shows a certificate when it dials")
	case c.RootCAs == nil && c.ClientCAs == nil:
		return errors.New("Config.TLS.RootCAs is not set: a certificate of any public authority would be accepted; " +
			"set the pool that signs your nodes")
	}
	return nil
}

// harden applies the settings that all modes share and connects the server to
// the turnstile: GetConfigForClient is the only hook that TLS calls between the
// client's first record and the expensive part of the handshake.
func harden(server, client *tls.Config, certs bool) *tlsMode {
	for _, c := range []*tls.Config{server, client} {
		c.MinVersion = tls.VersionTLS13
		c.SessionTicketsDisabled = true
		c.ClientSessionCache = nil
	}
	server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if c, ok := hello.Conn.(*turnedConn); ok {
			return nil, c.greet(hello)
		}
		return nil, nil
	}
	server.NextProtos = []string{alpnNames[forCalls], alpnNames[forBulk], alpnNames[forGossip],
		alpnNames[forStandby]}
	return &tlsMode{server: server, client: client, certs: certs}
}

// clientFor returns the configuration to dial addr with. knock is offered as a
// further protocol unless it is empty.
func (m *tlsMode) clientFor(p purpose, addr, knock string) *tls.Config {
	c := m.client.Clone()
	c.NextProtos = []string{alpnNames[p]}
	if knock != "" {
		c.NextProtos = append(c.NextProtos, knock)
	}
	if c.ServerName == "" {
		if host, _, err := net.SplitHostPort(addr); err == nil {
			c.ServerName = host
		}
	}
	return c
}
