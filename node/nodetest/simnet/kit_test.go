package simnet_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a network of two hosts in a bubble.
type lab struct {
	t    *testing.T
	net  *simnet.Network
	a, b *simnet.Host
}

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddr("10.0.0.2")
)

func newLab(t *testing.T, cfg simnet.Config) *lab {
	n, err := simnet.New(cfg)
	require.NoError(t, err)
	return &lab{t, n, n.Host(addrA), n.Host(addrB)}
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, cfg simnet.Config, f func(t *testing.T, l *lab)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, newLab(t, cfg)) })
}

func (l *lab) listen(h *simnet.Host) net.Listener {
	ln, err := h.Listen(l.t.Context(), "tcp", ":80")
	require.NoError(l.t, err)
	l.t.Cleanup(func() { ln.Close() })
	return ln
}

// pair connects a with b.
func (l *lab) pair() (dialed, accepted net.Conn) {
	ln := l.listen(l.b)
	dialed, err := l.a.Dial(l.t.Context(), "tcp", "10.0.0.2:80")
	require.NoError(l.t, err)
	accepted, err = ln.Accept()
	require.NoError(l.t, err)
	require.NoError(l.t, ln.Close())
	l.t.Cleanup(func() { dialed.Close(); accepted.Close() })
	return dialed, accepted
}

func (l *lab) packets(h *simnet.Host) net.PacketConn {
	c, err := h.ListenPacket(l.t.Context(), "udp", ":53")
	require.NoError(l.t, err)
	l.t.Cleanup(func() { c.Close() })
	return c
}

func udp(addr netip.Addr) *net.UDPAddr { return net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 53)) }

func (l *lab) write(c net.Conn, text string) {
	l.t.Helper()
	n, err := c.Write([]byte(text))
	require.NoError(l.t, err)
	require.Equal(l.t, len(text), n)
}

// read reads once.
func (l *lab) read(c net.Conn) string {
	l.t.Helper()
	b := make([]byte, 1024)
	n, err := c.Read(b)
	require.NoError(l.t, err)
	return string(b[:n])
}

// readError is the error of the next read; nil if it reads something.
func readError(c net.Conn) error {
	n, err := c.Read(make([]byte, 1))
	if n > 0 {
		return nil
	}
	return err
}

// silent requires that nothing can be read for a while.
func (l *lab) silent(c net.Conn, d time.Duration) {
	l.t.Helper()
	require.NoError(l.t, c.SetReadDeadline(time.Now().Add(d)))
	n, err := c.Read(make([]byte, 1))
	require.Zero(l.t, n)
	require.ErrorContains(l.t, err, "i/o timeout")
	require.NoError(l.t, c.SetReadDeadline(time.Time{}))
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
