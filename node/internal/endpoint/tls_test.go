package endpoint

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

func TestUnsafeTLSIsRefusedByField(t *testing.T) {
	ca := newAuthority(t)
	for want, change := range map[string]func(*tls.Config){
		"Config.TLS.InsecureSkipVerify is set": func(c *tls.Config) { c.InsecureSkipVerify = true },
		"Config.TLS.GetConfigForClient is set": func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		},
		"Config.TLS.MaxVersion is below TLS 1.3": func(c *tls.Config) {
			c.MaxVersion = tls.VersionTLS12
		},
		"Config.TLS.Certificates is empty and GetCertificate is not set":       func(c *tls.Config) { c.Certificates = nil },
		"Config.TLS.RootCAs is not set: a certificate of any public authority": func(c *tls.Config) { c.RootCAs = nil },
		"Config.TLS.Certificates is empty and GetClientCertificate is not set: a n": func(c *tls.Config) {
			c.Certificates = nil
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
		},
	} {
		c := ca.config(t, "node.shop")
		change(c)
		_, err := New(t.Context(), Config{Cluster: "shop", Boot: 1, TLS: c})
		require.ErrorContains(t, err, want)
	}
}

func TestUsersTLSConfigIsLeftAlone(t *testing.T) {
	ca := newAuthority(t)
	c := ca.config(t, "node.shop")
	c.ClientCAs, c.RootCAs = c.RootCAs, nil // one pool serves both directions
	c.NextProtos = []string{"h2"}
	a := openEndpoint(t, func(e *Config) { e.TLS = c })
	_, _, err := a.meet(a.Addr(), transport.Calls)
	require.NoError(t, err)
	require.Nil(t, c.RootCAs)
	require.Equal(t, []string{"h2"}, c.NextProtos)
	require.Zero(t, c.MinVersion)
	require.Equal(t, tls.NoClientCert, c.ClientAuth)
}

func TestVerifyConnectionOfTheUserStillCounts(t *testing.T) {
	ca := newAuthority(t)
	asked := make(chan string, 4)
	c := ca.config(t, "node.shop")
	c.ServerName = "node.shop"
	c.VerifyConnection = func(s tls.ConnectionState) error {
		asked <- s.PeerCertificates[0].Subject.CommonName
		return nil
	}
	a := openEndpoint(t, func(e *Config) { e.TLS = c })
	_, _, err := a.meet(a.Addr(), transport.Calls)
	require.NoError(t, err)
	require.Equal(t, "node.shop", <-asked)
	require.Equal(t, "node.shop", <-asked, "on both sides")
}

func TestPortSpeaksTLS13WithOurProtocolsAndNeverResumes(t *testing.T) {
	a := openEndpoint(t, func(c *Config) { c.Secret = NewSecret() })
	client := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"sessionproc/1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	for range 2 {
		conn, err := tls.Dial("tcp", a.Addr(), client)
		require.NoError(t, err)
		require.False(t, conn.ConnectionState().DidResume)
		require.Equal(t, "sessionproc/1", conn.ConnectionState().NegotiatedProtocol)
		_, _ = conn.Write([]byte{0, 0, 0, 2, 9, 9})
		_, _ = conn.Read(make([]byte, 1)) // a ticket would come here
		_ = conn.Close()
	}
	client.ClientSessionCache = nil
	client.MaxVersion = tls.VersionTLS12
	_, err := tls.Dial("tcp", a.Addr(), client)
	require.ErrorContains(t, err, "protocol version")
	a.log.says(t, "TLS: tls: client offered only unsupported versions")
	client.MaxVersion = 0
	client.NextProtos = []string{"h2"}
	_, err = tls.Dial("tcp", a.Addr(), client)
	require.ErrorContains(t, err, "no application protocol")
	client.NextProtos = nil
	conn, err := tls.Dial("tcp", a.Addr(), client)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	a.log.says(t, "the client offered no protocol of sessionproc")
}
