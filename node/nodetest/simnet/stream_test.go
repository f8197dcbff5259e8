package simnet_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

const latency = 500 * time.Microsecond // the default

func TestDataTakesTheLatency(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		begin := time.Now()
		a, b := l.pair()
		require.Equal(t, 2*latency, time.Since(begin), "a dial is a round trip")
		begin = time.Now()
		l.write(a, "x")
		require.Zero(t, time.Since(begin), "a write only fills the buffer")
		require.Equal(t, "x", l.read(b))
		require.Equal(t, latency, time.Since(begin))

		require.NoError(t, l.net.SetLink(l.b, l.a, simnet.Link{Latency: time.Second}))
		begin = time.Now()
		l.write(b, "y")
		l.read(a)
		require.Equal(t, time.Second, time.Since(begin))
	})
}

func TestStreamsKeepTheirOrder(t *testing.T) {
	link := simnet.Link{Latency: -1, Jitter: 10 * time.Millisecond, Loss: 0.2}
	bubble(t, simnet.Config{Link: link}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		var want bytes.Buffer
		for i := range 500 {
			fmt.Fprintf(&want, "%d ", i)
			l.write(a, fmt.Sprintf("%d ", i))
			time.Sleep(time.Millisecond)
		}
		begin := time.Now()
		require.NoError(t, a.Close())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, want.String(), string(got))
		require.Less(t, time.Since(begin), 5*time.Second)
	})
}

func TestWritesWaitForTheReader(t *testing.T) {
	bubble(t, simnet.Config{Buffer: 1000}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := a.Write(make([]byte, 1500))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 1000, n, "the buffer")
		require.NoError(t, a.SetWriteDeadline(time.Time{}))
		time.AfterFunc(time.Minute, func() { io.ReadFull(b, make([]byte, 300)) })
		begin := time.Now()
		n, err = a.Write(make([]byte, 300))
		require.NoError(t, err)
		require.Equal(t, 300, n)
		require.Equal(t, time.Minute, time.Since(begin))
	})
}

func TestConnectionsNameBothAddresses(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		require.Equal(t, "10.0.0.2:80", a.RemoteAddr().String())
		require.Equal(t, a.RemoteAddr(), b.LocalAddr())
		require.Equal(t, a.LocalAddr(), b.RemoteAddr())
		require.Equal(t, "10.0.0.1", a.LocalAddr().(*net.TCPAddr).IP.String())
		require.GreaterOrEqual(t, a.LocalAddr().(*net.TCPAddr).Port, 49152)
		require.Equal(t, "tcp", a.LocalAddr().Network())

		six := l.net.Host(netip.MustParseAddr("2001:db8::1"))
		require.Same(t, six, l.net.Host(netip.MustParseAddr("2001:db8::1")))
		require.Equal(t, "2001:db8::1", six.Addr().String())
		ln, err := six.Listen(t.Context(), "tcp", "[2001:db8::1]:0")
		require.NoError(t, err)
		c, err := l.a.Dial(t.Context(), "tcp", ln.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, ln.Close(), "a connection that nobody accepted goes with it")
	})
}

func TestListenRefusesTakenAndForeignAddresses(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		ctx := t.Context()
		ln, err := l.a.Listen(ctx, "tcp", "10.0.0.1:0")
		require.NoError(t, err)
		_, err = l.a.Listen(ctx, "tcp", ln.Addr().String())
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		_, err = l.a.ListenPacket(ctx, "udp", ln.Addr().String())
		require.NoError(t, err, "packets have ports of their own")
		_, err = l.a.Listen(ctx, "tcp", "10.0.0.2:0")
		require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
		for network, address := range map[string]string{
			"unix": "10.0.0.1:0", "udp": "10.0.0.1:0", "tcp": "10.0.0.1", "tcp4": "[::1]:0", "tcp6": "10.0.0.1:0",
		} {
			_, err = l.a.Listen(ctx, network, address)
			require.Error(t, err, network)
		}
		_, err = l.a.Listen(ctx, "tcp", "10.0.0.1:http")
		require.ErrorContains(t, err, "invalid port")
		_, err = l.a.Dial(ctx, "tcp", "localhost:80")
		require.ErrorContains(t, err, "resolves no names")

		deadline := ln.(interface{ SetDeadline(time.Time) error })
		require.NoError(t, deadline.SetDeadline(time.Now().Add(time.Minute)))
		_, err = ln.Accept()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, deadline.SetDeadline(time.Time{}))
		time.AfterFunc(time.Minute, func() { ln.Close() })
		_, err = ln.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, ln.Close(), net.ErrClosed)
		require.ErrorIs(t, deadline.SetDeadline(time.Time{}), net.ErrClosed)
		again, err := l.a.Listen(ctx, "tcp", ln.Addr().String())
		require.NoError(t, err)
		require.NoError(t, again.Close())
	})
}

func TestDialWithoutAListenerIsRefused(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		begin := time.Now()
		_, err := l.a.Dial(t.Context(), "tcp", "10.0.0.2:81")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Equal(t, 2*latency, time.Since(begin))
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		require.Equal(t, "dial", op.Op)
		require.Equal(t, "10.0.0.2:81", op.Addr.String())

		begin = time.Now()
		_, err = l.a.Dial(within(t, time.Minute), "tcp", "10.0.0.3:80")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorAs(t, err, &op)
		require.True(t, op.Timeout())
		require.Equal(t, time.Minute, time.Since(begin), "there is no such host")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = l.a.Dial(ctx, "tcp", "10.0.0.2:81")
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestHostReachesItself(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		ln := l.listen(l.a)
		begin := time.Now()
		c, err := l.a.Dial(t.Context(), "tcp", ":80")
		require.NoError(t, err)
		s, err := ln.Accept()
		require.NoError(t, err)
		l.write(c, "me")
		require.Equal(t, "me", l.read(s))
		require.Zero(t, time.Since(begin))
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
	})
}

func TestFullBacklogMakesDialsWait(t *testing.T) {
	bubble(t, simnet.Config{Backlog: 2}, func(t *testing.T, l *lab) {
		ln := l.listen(l.b)
		for range 2 {
			_, err := l.a.Dial(t.Context(), "tcp", "10.0.0.2:80")
			require.NoError(t, err)
		}
		time.AfterFunc(10*time.Second, func() { ln.Accept() })
		begin := time.Now()
		_, err := l.a.Dial(t.Context(), "tcp", "10.0.0.2:80")
		require.NoError(t, err)
		require.InDelta(t, 10*time.Second, time.Since(begin), float64(2*time.Second))
	})
}

func TestCloseReadDropsWhatArrives(t *testing.T) {
	bubble(t, simnet.Config{Buffer: 100}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		require.NoError(t, b.(interface{ CloseRead() error }).CloseRead())
		require.ErrorIs(t, readError(b), io.EOF)
		n, err := a.Write(make([]byte, 10_000))
		require.NoError(t, err)
		require.Equal(t, 10_000, n)
		require.ErrorIs(t, readError(b), io.EOF)
		require.NoError(t, b.Close())
		require.ErrorIs(t, readError(a), io.EOF, "nothing is unread, so it is no reset")
	})
}

func TestInvalidConfigIsRefused(t *testing.T) {
	for field, cfg := range map[string]simnet.Config{
		"Config.Buffer":      {Buffer: -1},
		"Config.Backlog":     {Backlog: -1},
		"Config.Link.Jitter": {Link: simnet.Link{Jitter: -1}},
		"Config.Link.Loss":   {Link: simnet.Link{Loss: 1.5}},
	} {
		_, err := simnet.New(cfg)
		require.ErrorContains(t, err, field)
	}
	l := newLab(t, simnet.Config{})
	require.ErrorContains(t, l.net.SetLink(l.a, l.b, simnet.Link{Loss: -1}), "Link.Loss")
}
