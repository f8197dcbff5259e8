package simnet_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

// sendPackets sends numbered packets and returns the numbers that arrive, in their order.
func sendPackets(t *testing.T, l *lab, count int) (got []int) {
	in, out := l.packets(l.b), l.packets(l.a)
	for i := range count {
		_, err := out.WriteTo(fmt.Appendf(nil, "%d", i), udp(addrB))
		require.NoError(t, err)
	}
	require.NoError(t, in.SetReadDeadline(time.Now().Add(time.Second)))
	buf := make([]byte, 10)
	for {
		n, from, err := in.ReadFrom(buf)
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.NoError(t, in.Close())
			require.NoError(t, out.Close())
			return got
		}
		require.Equal(t, "10.0.0.1:53", from.String())
		var i int
		_, err = fmt.Sscan(string(buf[:n]), &i)
		require.NoError(t, err)
		got = append(got, i)
	}
}

func TestPacketsArriveInOrderWithoutJitter(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		got := sendPackets(t, l, 1000)
		require.Len(t, got, 1000)
		require.True(t, slices.IsSorted(got))
	})
}

func TestPacketsOvertakeOneAnotherWithJitter(t *testing.T) {
	bubble(t, simnet.Config{Link: simnet.Link{Jitter: time.Millisecond}}, func(t *testing.T, l *lab) {
		got := sendPackets(t, l, 100)
		require.Len(t, got, 100)
		require.False(t, slices.IsSorted(got))
	})
}

func TestEqualSeedsLoseEqualPackets(t *testing.T) {
	lossy := func(t *testing.T, seed uint64) []int {
		l := newLab(t, simnet.Config{Seed: seed, Link: simnet.Link{Loss: 0.3}})
		return sendPackets(t, l, 1000)
	}
	bubble(t, simnet.Config{}, func(t *testing.T, _ *lab) {
		one, two := lossy(t, 1), lossy(t, 2)
		require.InDelta(t, 700, len(one), 60)
		require.NotEqual(t, one, two)
		require.Equal(t, one, lossy(t, 1))
	})
}

func TestCutLosesPackets(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		in, out := l.packets(l.b), l.packets(l.a)
		send := func(text string) {
			n, err := out.WriteTo([]byte(text), udp(addrB))
			require.NoError(t, err, "the sender does not know")
			require.Equal(t, len(text), n)
		}
		send("under way")
		l.net.CutOneWay(l.a, l.b)
		send("cut")
		time.Sleep(time.Second)
		l.net.Heal(l.a, l.b)
		send("whole")
		buf := make([]byte, 20)
		n, _, err := in.ReadFrom(buf)
		require.NoError(t, err)
		require.Equal(t, "whole", string(buf[:n]))

		l.net.CutOneWay(l.b, l.a)
		send("that way is open")
		n, _, err = in.ReadFrom(buf[:4])
		require.NoError(t, err)
		require.Equal(t, "that", string(buf[:n]), "the rest is lost")
	})
}

func TestPacketSocketHasTheErrorsOfTheKernel(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		in, out := l.packets(l.b), l.packets(l.a)
		require.Equal(t, ":53", in.LocalAddr().String()[len("[::]"):])
		_, err := l.b.ListenPacket(t.Context(), "udp4", "10.0.0.2:53")
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		_, err = out.WriteTo(make([]byte, 65508), udp(addrB))
		require.ErrorIs(t, err, syscall.EMSGSIZE)
		_, err = out.WriteTo(nil, &net.TCPAddr{})
		require.ErrorIs(t, err, syscall.EINVAL)
		_, err = out.WriteTo([]byte("x"), udp(addrB.Next()))
		require.NoError(t, err, "there is no such host, and nobody says so")

		require.NoError(t, in.(interface{ SetReadBuffer(int) error }).SetReadBuffer(100))
		for range 3 {
			_, err = out.WriteTo(make([]byte, 40), udp(addrB))
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		require.NoError(t, in.SetDeadline(time.Now().Add(time.Second)))
		for range 2 {
			n, _, err := in.ReadFrom(make([]byte, 100))
			require.NoError(t, err)
			require.Equal(t, 40, n)
		}
		_, _, err = in.ReadFrom(make([]byte, 100))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the third found the buffer full")
		_, err = in.WriteTo(nil, udp(addrA))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)

		require.NoError(t, in.SetDeadline(time.Time{}))
		time.AfterFunc(time.Minute, func() { in.Close() })
		_, _, err = in.ReadFrom(nil)
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = in.WriteTo(nil, udp(addrA))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, in.SetDeadline(time.Time{}), net.ErrClosed)
	})
}
