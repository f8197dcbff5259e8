package endpoint

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/transport"
)

func TestNodesOfOneClusterMeet(t *testing.T) {
	ca := newAuthority(t)
	secret, older := NewSecret(), NewSecret()
	for name, both := range map[string]func(*Config){
		"plain":                func(*Config) {},
		"secret":               func(c *Config) { c.Secret = secret },
		"certificates":         func(c *Config) { c.TLS = ca.config(t, "node.shop") },
		"certificates, name":   func(c *Config) { c.TLS = ca.config(t, "node.shop"); c.TLS.ServerName = "node.shop" },
		"certificates, secret": func(c *Config) { c.TLS = ca.config(t, "node.shop"); c.Secret = secret },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := openEndpoint(t, both), openEndpoint(t, both)
			for _, class := range []transport.Class{transport.Calls, transport.Bulk, transport.Standby} {
				peer, word, err := a.meet(b.Addr(), class)
				require.NoError(t, err, b.log)
				require.Equal(t, "hi", word)
				require.Equal(t, cluster.Member{Slot: "a", Boot: 7}.Name(), peer)
			}
			require.Empty(t, b.log.String())
		})
	}
	t.Run("rotation", func(t *testing.T) {
		steps := [][]string{{older}, {older, secret}, {secret, older}, {secret}}
		for i := range len(steps) - 1 { // neighbouring steps are on different nodes at the same time
			before := openEndpoint(t, func(c *Config) { c.Secret, c.AcceptSecrets = steps[i][0], steps[i][1:] })
			after := openEndpoint(t, func(c *Config) { c.Secret, c.AcceptSecrets = steps[i+1][0], steps[i+1][1:] })
			_, _, err := before.meet(after.Addr(), transport.Calls)
			require.NoError(t, err, "step %d", i)
			_, _, err = after.meet(before.Addr(), transport.Calls)
			require.NoError(t, err, "step %d", i)
		}
	})
}

// A refusal is one pair of nodes that must not meet: the dialer's error and the acceptor's log say why.
type refusal struct {
	name          string
	dialer, there func(*Config)
	says          string // A stands for the acceptor's address, D for the dialer's
	logs          string // default: says
}

func refusals(t *testing.T) []refusal {
	ca, otherCA := newAuthority(t), newAuthority(t)
	one, two := NewSecret(), NewSecret()
	none := func(*Config) {}
	secret := func(s string) func(*Config) { return func(c *Config) { c.Secret = s } }
	certs := func(ca *authority, secret string) func(*Config) {
		return func(c *Config) { c.TLS, c.Secret = ca.config(t, "node.shop"), secret }
	}
	with := func(first func(*Config), then func(*Config)) func(*Config) {
		return func(c *Config) { first(c); then(c) }
	}
	blue := func(c *Config) { c.Cluster = "blue" }
	rows := []refusal{
		{name: "dialer has no secret", dialer: none, there: secret(one),
			says: "the node at A has a secret, the dialling node has none (Config.Secret)"},
		{name: "acceptor has no secret", dialer: secret(one), there: none,
			says: "the dialling node speaks TLS, the node at A has neither a secret nor certificates " +
				"(Config.Secret, Config.TLS)"},
		{name: "dialer has no certificates", dialer: none, there: certs(ca, ""),
			says: "the node at A speaks TLS with certificates, the dialling node does not (Config.TLS)"},
		{name: "other secret", dialer: secret(one), there: secret(two),
			says: "other secret: the node at A accepts key " + testKeyID(t, two) +
				", the node at D uses key " + testKeyID(t, one) + " (Config.Secret)"},
		{name: "certificates, dialer has no secret", dialer: certs(ca, ""), there: certs(ca, one),
			says: "the node at A has a secret, the node at D has none (Config.Secret)"},
		{name: "certificates, acceptor has no secret", dialer: certs(ca, one), there: certs(ca, ""),
			says: "the node at D has a secret, the node at A has none (Config.Secret)"},
		{name: "certificates of another authority", dialer: certs(otherCA, ""), there: certs(ca, ""),
			says: "the certificate of the node at A is not accepted here (Config.TLS): x509: certificate signed by " +
				"unknown authority",
			logs: "TLS: remote error: tls: bad certificate"},
		{name: "acceptor has a secret, dialer certificates", dialer: certs(ca, one), there: secret(one),
			says: "the node at A has a secret and no certificate, this node has certificates (Config.TLS)",
			logs: "TLS: remote error: tls: bad certificate"},
		{name: "dialer has a secret, acceptor certificates", dialer: secret(one), there: certs(ca, one),
			says: "the node at A ended the TLS handshake: tls: certificate required (Config.TLS, Config.Secret)",
			logs: "TLS: tls: client didn't provide a certificate"},
		{name: "acceptor's certificate is for another name",
			there:  with(certs(ca, ""), func(c *Config) { c.TLS = ca.config(t, "other.shop") }),
			dialer: with(certs(ca, ""), func(c *Config) { c.TLS.ServerName = "node.shop" }),
			says: "the certificate of the node at A is not accepted here: x509: certificate is valid for other.shop, " +
				"not node.shop (set Config.TLS.ServerName to a name that is in every node's certificate)",
			logs: "TLS: remote error: tls: bad certificate"},
		{name: "dialer's certificate is for another name",
			dialer: with(certs(ca, ""), func(c *Config) { c.TLS = ca.config(t, "other.shop") }),
			there:  with(certs(ca, ""), func(c *Config) { c.TLS.ServerName = "node.shop" }),
			says:   "the node at A ended the TLS handshake: tls: bad certificate (Config.TLS, Config.Secret)",
			logs:   "TLS: x509: certificate is valid for other.shop, not node.shop"},
	}
	for name, mode := range map[string]func(*Config){"plain": none, "secret": secret(one)} {
		rows = append(rows,
			refusal{name: "other cluster, " + name, dialer: with(mode, blue), there: mode,
				says: `other cluster: the node at A is in "shop", the node at D in "blue" (Config.Cluster)`},
			refusal{name: "other wire, " + name, dialer: with(mode, func(c *Config) { c.Wire = [2]uint8{2, 3} }), there: mode,
				says: "other wire version: the node at A speaks 1 to 1, the node at D 2 to 3"},
			refusal{name: "other ring, " + name,
				dialer: with(mode, func(c *Config) { c.Fingerprint, c.Ring = 0xf2, "13 partitions" }), there: mode,
				says: "other ring: the node at A has 1021 partitions [00000000000000f1], the node at D 13 partitions " +
					"[00000000000000f2] (Config.Ring)"})
	}
	return rows
}

func testKeyID(t *testing.T, secret string) string {
	t.Helper()
	ks, err := NewKeys("shop", secret, nil)
	require.NoError(t, err)
	return ks.String()
}

func TestNodesThatDoNotFitRefuseEachOtherAndBothSayWhy(t *testing.T) {
	for _, row := range refusals(t) {
		t.Run(row.name, func(t *testing.T) {
			d, a := openEndpoint(t, row.dialer), openEndpoint(t, row.there)
			names := strings.NewReplacer(" A ", " "+a.Addr()+" ", " D ", " "+d.Addr()+" ")
			says, logs := names.Replace(row.says), names.Replace(row.logs)
			if logs == "" {
				logs = strings.ReplaceAll(says, `"`, `\"`) // as slog writes it
			}
			_, _, err := d.meet(a.Addr(), transport.Calls)
			require.ErrorContains(t, err, says)
			var final interface{ Refused() bool }
			require.True(t, errors.As(err, &final) && final.Refused(), "%T must be final", err)
			a.log.says(t, logs)
			d.log.says(t, strings.ReplaceAll(says, `"`, `\"`))

			_, err = d.Gossip().DialTimeout(a.Addr(), 3e9) // the same for a gossip stream
			require.ErrorContains(t, err, says)
		})
	}
}

// A proxy between two nodes that have the secret ends their TLS and speaks its own to each:
// both codes are for other connections.
func TestManInTheMiddleIsRefused(t *testing.T) {
	secret := NewSecret()
	a := openEndpoint(t, func(c *Config) { c.Secret = secret })
	d := openEndpoint(t, func(c *Config) { c.Secret = secret })
	mode, err := ephemeralTLS()
	require.NoError(t, err)
	middle, err := tls.Listen("tcp", "127.0.0.1:0", mode.server)
	require.NoError(t, err)
	defer middle.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		in, err := middle.Accept()
		if err != nil {
			return
		}
		defer in.Close()
		out, err := tls.Dial("tcp", a.Addr(), mode.clientFor(forCalls, a.Addr(), ""))
		if err != nil {
			return
		}
		defer out.Close()
		pipeBoth(in, out)
	}()
	_, _, err = d.meet(middle.Addr().String(), transport.Calls)
	require.ErrorContains(t, err, "did not prove that it has the secret of key "+testKeyID(t, secret))
	a.log.says(t, "its code does not belong to this connection")
	<-done
}

func pipeBoth(a, b net.Conn) {
	end := make(chan struct{}, 2)
	for _, p := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			buf := make([]byte, 4096)
			for {
				n, err := p[0].Read(buf)
				if n > 0 {
					_, _ = p[1].Write(buf[:n])
				}
				if err != nil {
					end <- struct{}{}
					return
				}
			}
		}()
	}
	<-end
	_, _ = a.Close(), b.Close()
	<-end
}

// A stranger that sends a node's own hello back on the same connection has the right exporter
// and the wrong role.
func TestReflectedHelloIsRefused(t *testing.T) {
	ks, err := NewKeys("shop", NewSecret(), nil)
	require.NoError(t, err)
	client, server := tlsPair(t)
	self := testHello()
	a := newAuth(*self, ks, func(string) {})
	h, err := a.Hello(client, true)
	require.NoError(t, err)
	_, err = a.Check(client, true, h)
	require.ErrorContains(t, err, "did not prove")
	peer, err := a.Check(server, false, h)
	require.NoError(t, err)
	require.Equal(t, "a/0000000000000007", peer)
}

// Every field that the code covers and none other may change on the way; a change of any other is caught by TLS itself.
func TestAuthenticationCoversSlotBootAndAddress(t *testing.T) {
	ks, err := NewKeys("shop", NewSecret(), nil)
	require.NoError(t, err)
	client, server := tlsPair(t)
	a := newAuth(*testHello(), ks, func(string) {})
	b, err := a.Hello(client, true)
	require.NoError(t, err)
	for name, change := range map[string]func(*hello){
		"slot":         func(h *hello) { h.slot = "b" },
		"boot":         func(h *hello) { h.boot++ },
		"address":      func(h *hello) { h.addr = "127.0.0.1:2" },
		"split":        func(h *hello) { h.slot, h.addr = h.slot+h.addr[:1], h.addr[1:] },
		"code":         func(h *hello) { h.code[0] ^= 1 },
		"no code":      func(h *hello) { h.code = nil },
		"shorter code": func(h *hello) { h.code = h.code[:8] },
	} {
		t.Run(name, func(t *testing.T) {
			h, err := readHello(append([]byte(nil), b...))
			require.NoError(t, err)
			change(h)
			_, err = a.Check(server, false, h.append(nil))
			require.ErrorContains(t, err, "did not prove")
		})
	}
}

// tlsPair is one TLS connection over a pipe, both ends after the handshake.
func tlsPair(t *testing.T) (client, server *tls.Conn) {
	t.Helper()
	mode, err := ephemeralTLS()
	require.NoError(t, err)
	c, s := net.Pipe()
	t.Cleanup(func() { _, _ = c.Close(), s.Close() })
	client, server = tls.Client(c, mode.clientFor(forCalls, "127.0.0.1:1", "")), tls.Server(s, mode.server)
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	require.NoError(t, client.Handshake())
	require.NoError(t, <-done)
	return client, server
}
