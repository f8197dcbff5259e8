package endpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

func TestTakenPortIsNamed(t *testing.T) {
	a := openEndpoint(t, nil)
	cfg := testEndpointConfig()
	cfg.Bind = a.Addr()
	_, err := New(t.Context(), cfg)
	require.ErrorContains(t, err, "Config.Bind: TCP port "+a.Addr()+" is taken")
	require.ErrorIs(t, err, syscall.EADDRINUSE)

	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer udp.Close()
	cfg.Bind = udp.LocalAddr().String()
	_, err = New(t.Context(), cfg)
	require.ErrorContains(t, err, "Config.Bind: UDP port "+cfg.Bind+" is taken")
	again, err := net.Listen("tcp", cfg.Bind)
	require.NoError(t, err, "the TCP port was given back")
	require.NoError(t, again.Close())
}

func TestPortIsFreeAfterClose(t *testing.T) {
	var addr string
	t.Run("first", func(t *testing.T) { addr = openEndpoint(t, nil).Addr() })
	b := openEndpoint(t, func(c *Config) { c.Bind = addr })
	require.Equal(t, addr, b.Addr())
}

// Bound to every interface a port takes both families; a peer's IPv4 address is never one in IPv6's clothes.
func TestEveryInterfaceTakesIPv4AndIPv6(t *testing.T) {
	secret := NewSecret()
	a := openEndpoint(t, func(c *Config) { c.Bind, c.Advertise, c.Secret = ":0", "127.0.0.1", secret })
	d := openEndpoint(t, func(c *Config) { c.Secret = secret })
	_, word, err := d.meet(a.Addr(), transport.Calls)
	require.NoError(t, err)
	require.Equal(t, "hi", word)
	packet, err := memberlist.AddLabelHeaderToPacket([]byte("x"), "shop")
	require.NoError(t, err)
	for _, way := range [][2]*openPort{{d, a}, {a, d}} {
		_, err = way[0].Gossip().WriteTo(packet, way[1].Addr())
		require.NoError(t, err)
		got := <-way[1].Gossip().PacketCh()
		require.Equal(t, way[0].Addr(), got.From.String())
	}
}

func TestSlotDefaultsToHostAndAdvertisedPort(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	a := openEndpoint(t, func(c *Config) { c.Slot, c.Advertise = "", "127.0.0.1:1234" })
	require.Equal(t, host+":1234", a.Slot())
	cfg := testEndpointConfig()
	cfg.Slot = "a b"
	_, err = New(t.Context(), cfg)
	require.ErrorContains(t, err,
		`this node's settings: slot "a b": must be 1 to 255 printable bytes, no space and no slash`)
}

func TestClosedEndpointDialsNobody(t *testing.T) {
	a, d := openEndpoint(t, nil), openEndpoint(t, nil)
	require.NoError(t, d.Close())
	_, err := d.Dial(t.Context(), a.Addr(), transport.Calls)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestNodesMeetOverIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6 loopback (enable it with: sysctl net.ipv6.conf.lo.disable_ipv6=0): %v", err)
	} else {
		_ = l.Close()
	}
	secret := NewSecret()
	both := func(c *Config) { c.Bind, c.Secret = "[::1]:0", secret }
	a, b := openEndpoint(t, both), openEndpoint(t, both)
	require.True(t, strings.HasPrefix(a.Addr(), "[::1]:"))
	_, word, err := a.meet(b.Addr(), transport.Calls)
	require.NoError(t, err)
	require.Equal(t, "hi", word)
	ab := startMembers(t, a, b)
	require.Eventually(t, func() bool { return ab[0].NumMembers() == 2 && ab[1].NumMembers() == 2 }, 5*time.Second,
		10*time.Millisecond)
}

// bothModes runs a test against a port without TLS and one with.
func bothModes(t *testing.T, change func(*Config), test func(t *testing.T, a *openPort)) {
	for mode, secret := range map[string]string{"plain": "", "secret": NewSecret()} {
		t.Run(mode, func(t *testing.T) {
			test(t, openEndpoint(t, func(c *Config) {
				c.Secret = secret
				if change != nil {
					change(c)
				}
			}))
		})
	}
}

// say sends bytes as a stranger would, and waits until the port closes the connection.
func say(t *testing.T, addr, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	_, _ = conn.Write([]byte(text))
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, err = io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the port did not close the connection")
}

func TestForeignProtocolsAreClosedAndNamedOnce(t *testing.T) {
	bothModes(t, nil, func(t *testing.T, a *openPort) {
		const http = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
		for range 20 {
			say(t, a.Addr(), http)
		}
		say(t, a.Addr(), "SSH-2.0-OpenSSH_9.9\r\n")
		say(t, a.Addr(), "\x9eSPRC\x0a\x07\x01")
		random := make([]byte, 4096)
		_, _ = rand.Read(random)
		random[0] = 0
		say(t, a.Addr(), string(random))
		a.log.says(t, "an SSH client on the cluster port")
		a.log.says(t, "other preface version: this node speaks 1, the dialling node 7")
		a.log.says(t, "unknown protocol on the cluster port")
		require.Equal(t, 1, strings.Count(a.log.String(), "an HTTP request on the cluster port"), a.log)
		a.empty(t)
	})
	t.Run("broken ClientHello", func(t *testing.T) {
		a := openEndpoint(t, func(c *Config) { c.Secret = NewSecret() })
		say(t, a.Addr(), "\x16\x03\x01\xff\xff"+strings.Repeat("x", 70_000))
		a.log.says(t, "TLS: ")
		a.empty(t)
	})
}

// empty waits until no stranger is counted any more.
func (p *openPort) empty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		p.strangers.mu.Lock()
		defer p.strangers.mu.Unlock()
		return len(p.strangers.inside) == 0 && len(p.strangers.crowds) == 0
	}, 30*time.Second, 5*time.Millisecond)
}

func TestHealthCheckIsNotLogged(t *testing.T) {
	bothModes(t, nil, func(t *testing.T, a *openPort) {
		conn, err := net.Dial("tcp", a.Addr())
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		say(t, a.Addr(), "SSH-2.0-OpenSSH_9.9\r\n") // comes later
		a.log.says(t, "an SSH client")
		require.Equal(t, 1, strings.Count(a.log.String(), "\n"), a.log)
	})
}

func TestSlowStrangerIsClosedInTime(t *testing.T) {
	for name, head := range map[string]string{"silent": "", "preface": "\x9eSPRC\x0a",
		"ClientHello": "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03"} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(c *Config) { c.HandshakeTimeout = 150 * time.Millisecond }, func(t *testing.T, a *openPort) {
				conn, err := net.Dial("tcp", a.Addr())
				require.NoError(t, err)
				defer conn.Close()
				start := time.Now()
				go func() { // byte by byte
					for i := range head {
						if _, err := conn.Write([]byte{head[i]}); err != nil {
							return
						}
						time.Sleep(50 * time.Millisecond)
					}
				}()
				_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
				_, _ = io.Copy(io.Discard, conn)
				require.Less(t, time.Since(start), 10*time.Second)
				require.NotEmpty(t, a.log.String())
			})
		})
	}
}

// Peers get in at once while idle connections fill all places: one at another address, and
// one at theirs; the log says it in a few lines.
func TestIdleStrangersDoNotKeepPeersOut(t *testing.T) {
	few := func(c *Config) { c.MaxStrangers = 64 }
	bothModes(t, few, func(t *testing.T, a *openPort) {
		for range 100 {
			conn, err := net.Dial("tcp", a.Addr())
			require.NoError(t, err)
			defer conn.Close()
		}
		d := openEndpoint(t, func(c *Config) { c.Secret = a.cfg.Secret })
		for _, from := range []net.Addr{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, nil} {
			d.cfg.Network.(*realNetwork).dialer.LocalAddr = from
			_, word, err := d.meet(a.Addr(), transport.Calls)
			require.NoError(t, err)
			require.Equal(t, "hi", word)
		}
		a.strangers.mu.Lock()
		require.LessOrEqual(t, len(a.strangers.queue), 64)
		a.strangers.mu.Unlock()
		require.LessOrEqual(t, strings.Count(a.log.String(), "\n"), 3, a.log)
	})
}

// Connections whose peer is known do not count as strangers: more of them than any limit are open at once.
func TestKnownPeersAreNotCountedAsStrangers(t *testing.T) {
	bothModes(t, nil, func(t *testing.T, a *openPort) {
		d := openEndpoint(t, func(c *Config) { c.Secret = a.cfg.Secret })
		for range 20 {
			conn, err := d.Gossip().DialTimeout(a.Addr(), 3*time.Second)
			require.NoError(t, err)
			defer conn.Close()
		}
	})
}

// flakyListener fails a few times before it accepts, as one does without file descriptors.
type flakyListener struct {
	net.Listener
	failures atomic.Int32
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptGoesOnAfterTemporaryErrors(t *testing.T) {
	checkLeaks(t)
	log := new(portLog)
	cfg := testEndpointConfig()
	cfg.Logger = log.logger()
	e, err := New(t.Context(), cfg)
	require.NoError(t, err)
	flaky := &flakyListener{Listener: e.tcp}
	flaky.failures.Store(3)
	e.tcp = flaky
	came := make(chan transport.Class, 1)
	e.Serve(func(c net.Conn, class transport.Class) { _ = c.Close(); came <- class })
	conn, err := e.Dial(t.Context(), e.Addr(), transport.Bulk)
	require.NoError(t, err)
	defer conn.Close()
	require.Equal(t, transport.Bulk, <-came)
	require.Equal(t, 1, strings.Count(log.String(), "cannot accept connections"))
	require.NoError(t, e.Close())
}

func TestDialErrorNamesTheProtocolFoundThere(t *testing.T) {
	secret := NewSecret()
	for _, row := range []struct {
		name, secret, answer, want string
		final                      bool
	}{
		{"plain, TLS alert", "", "\x15\x03\x03\x00\x02\x02\x46",
			"speaks TLS: it has a secret or certificates and this node has none (Config.Secret, Config.TLS)", true},
		{"plain, HTTP", "", "HTTP/1.1 400 Bad Request\r\n\r\n", "is no sessionproc node: its answer starts with 48 54 54 50",
			false},
		{"secret, HTTP", secret, "HTTP/1.1 400 Bad Request\r\n\r\n",
			"is no sessionproc node with a secret or certificates: it does not answer in TLS", false},
		{"plain, half a refusal", "", "\x9eSPRC\x0a\x01\xff\x00\x05no", "truncated refusal", false},
		{"secret, refusal", secret, string(appendRefusal(nil, "go away")), "go away", true},
		{"secret, alert", secret, "\x15\x03\x03\x00\x02\x02\x28", "ended the TLS handshake: tls: handshake failure", true},
		{"secret, closed", secret, "", "TLS with 127.0.0.1", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := openEndpoint(t, func(c *Config) { c.Secret = row.secret })
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = conn.Write([]byte(row.answer))
				linger(conn)
			}()
			_, _, err = d.meet(l.Addr().String(), transport.Calls)
			require.ErrorContains(t, err, row.want)
			var refused *transport.RefusedError
			require.Equal(t, row.final, errors.As(err, &refused))
		})
	}
}
