package simnet_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

func TestCutStallsAStreamAndHealDelivers(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		l.write(a, "under way ")
		l.net.Cut(l.a, l.b)
		l.write(a, "written over the cut")
		l.write(b, "other way")
		l.silent(b, time.Hour)
		l.silent(a, time.Second)
		l.net.Heal(l.b, l.a)
		begin := time.Now()
		time.Sleep(latency)
		synctest.Wait()
		require.Equal(t, "under way written over the cut", l.read(b))
		require.Equal(t, "other way", l.read(a))
		require.Equal(t, latency, time.Since(begin))
	})
}

func TestCloseOverACutArrivesAfterHeal(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		l.net.Cut(l.a, l.b)
		l.write(a, "bye")
		require.NoError(t, a.Close())
		l.silent(b, time.Minute)
		l.net.HealAll()
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "bye", string(got))
	})
}

func TestDialWaitsForHeal(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		l.listen(l.b)
		for _, cut := range []func(){
			func() { l.net.Cut(l.a, l.b) },
			func() { l.net.CutOneWay(l.a, l.b) },
			func() { l.net.CutOneWay(l.b, l.a) }, // the answer is lost
		} {
			cut()
			_, err := l.a.Dial(within(t, time.Minute), "tcp", "10.0.0.2:80")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			time.AfterFunc(time.Minute, func() { l.net.Heal(l.a, l.b) })
			begin := time.Now()
			c, err := l.a.Dial(within(t, time.Hour), "tcp", "10.0.0.2:80")
			require.NoError(t, err)
			require.Equal(t, time.Minute+2*latency, time.Since(begin))
			require.NoError(t, c.Close())
		}
	})
}

// Of a stream whose confirmations are cut the buffer is all that gets through.
func TestOneWayCutLetsOnlyTheBufferThrough(t *testing.T) {
	bubble(t, simnet.Config{Buffer: 1000}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		l.net.CutOneWay(l.b, l.a)
		l.write(b, "lost for now")
		var got int
		go func() {
			n, _ := io.Copy(io.Discard, b)
			got = int(n)
		}()
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Minute)))
		n, err := a.Write(make([]byte, 5000))
		require.Error(t, err)
		require.Equal(t, 1000, n)
		l.silent(a, time.Second)
		l.net.Heal(l.a, l.b)
		require.Equal(t, "lost for now", l.read(a))
		require.NoError(t, a.SetWriteDeadline(time.Time{}))
		_, err = a.Write(make([]byte, 4000))
		require.NoError(t, err)
		require.NoError(t, a.Close())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 5000, got)
	})
}

func TestCutIsBetweenTwoHostsOnly(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		third := l.net.Host(addrB.Next())
		l.net.Cut(l.a, third)
		l.net.Cut(third, l.b)
		l.write(a, "x")
		require.Equal(t, "x", l.read(b))
	})
}

func TestStalledHostTakesInAndSaysNothing(t *testing.T) {
	bubble(t, simnet.Config{Buffer: 100}, func(t *testing.T, l *lab) {
		ln := l.listen(l.b)
		a, err := l.a.Dial(t.Context(), "tcp", "10.0.0.2:80")
		require.NoError(t, err)
		b, err := ln.Accept()
		require.NoError(t, err)
		in, out := l.packets(l.b), l.packets(l.a)
		l.b.Stall()

		second, err := l.a.Dial(t.Context(), "tcp", "10.0.0.2:80")
		require.NoError(t, err, "its system accepts")
		accepted := make(chan struct{})
		go func() { ln.Accept(); close(accepted) }()
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := a.Write(make([]byte, 150))
		require.Error(t, err)
		require.Equal(t, 100, n, "its system takes in what there is room for")
		l.silent(b, time.Second)
		l.write(b, "waits")
		l.silent(a, time.Second)
		_, err = out.WriteTo([]byte("kept"), udp(addrB))
		require.NoError(t, err)
		_, err = in.WriteTo([]byte("never sent"), udp(addrA))
		require.NoError(t, err)
		require.NoError(t, in.SetReadDeadline(time.Now().Add(time.Second)))
		_, _, err = in.ReadFrom(make([]byte, 10))
		require.ErrorContains(t, err, "timeout")
		require.NoError(t, in.SetReadDeadline(time.Time{}))
		synctest.Wait()
		select {
		case <-accepted:
			t.Fatal("a stalled program accepted")
		default:
		}

		l.b.Resume()
		<-accepted
		require.Equal(t, "waits", l.read(a))
		_, err = io.ReadFull(b, make([]byte, 100))
		require.NoError(t, err)
		got := make([]byte, 10)
		n, from, err := in.ReadFrom(got)
		require.NoError(t, err)
		require.Equal(t, "kept", string(got[:n]))
		require.Equal(t, "10.0.0.1:53", from.String())
		require.NoError(t, out.SetReadDeadline(time.Now().Add(time.Second)))
		_, _, err = out.ReadFrom(got)
		require.ErrorContains(t, err, "timeout")
		require.NoError(t, second.Close())
	})
}

func TestCrashResetsAndRefuses(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		ln := l.listen(l.b)
		a, err := l.a.Dial(t.Context(), "tcp", "10.0.0.2:80")
		require.NoError(t, err)
		b, err := ln.Accept()
		require.NoError(t, err)
		in := l.packets(l.b)
		l.write(b, "last")
		time.AfterFunc(time.Second, l.b.Crash)
		_, err = ln.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, readError(b), net.ErrClosed)
		_, err = b.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		_, _, err = in.ReadFrom(nil)
		require.ErrorIs(t, err, net.ErrClosed)

		require.Equal(t, "last", l.read(a), "it had arrived")
		require.ErrorIs(t, readError(a), syscall.ECONNRESET)
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = l.a.Dial(t.Context(), "tcp", "10.0.0.2:80")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		_, err = l.b.Dial(t.Context(), "tcp", "10.0.0.1:80")
		require.ErrorIs(t, err, syscall.ENETDOWN)
		_, err = l.b.Listen(t.Context(), "tcp", ":80")
		require.ErrorIs(t, err, syscall.ENETDOWN)

		l.b.Restart()
		l.pair()
	})
}

func TestPowerOffIsSilentUntilTheHostIsBack(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		l.b.PowerOff()
		require.ErrorIs(t, readError(b), net.ErrClosed)
		l.write(a, "anybody?")
		l.silent(a, time.Hour)
		_, err := l.a.Dial(within(t, time.Minute), "tcp", "10.0.0.2:80")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		l.b.Restart()
		require.ErrorIs(t, readError(a), syscall.ECONNRESET, "what was sent is sent again, and nobody knows the stream")
		l.pair()
	})
}

func TestResetEndsTheConnectionsOfTwoHosts(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		l.net.Cut(l.a, l.b)
		l.write(a, "lost")
		l.net.Reset(l.b, l.a)
		require.ErrorIs(t, readError(a), syscall.ECONNRESET)
		require.ErrorIs(t, readError(b), syscall.ECONNRESET)
		l.net.HealAll()
		a, b = l.pair()
		l.net.Reset(l.a, l.a)
		l.write(a, "another's reset")
		l.read(b)
	})
}

func TestResetAfterDeliversExactlySoManyBytes(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		const text = "0123456789"
		for n := range len(text) {
			a, b := l.pair()
			l.net.ResetAfter(l.a, l.b, n)
			given, err := a.Write([]byte(text[:5]))
			if n > 5 {
				require.NoError(t, err)
				var more int
				more, err = a.Write([]byte(text[5:]))
				given += more
			}
			if n != 5 { // else the write had given all when the reset came
				require.ErrorIs(t, err, syscall.ECONNRESET, fmt.Sprint(n))
			}
			require.Equal(t, n, given)
			_, err = a.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			got, err := io.ReadAll(b)
			require.ErrorIs(t, err, syscall.ECONNRESET)
			require.Equal(t, text[:n], string(got))
		}
		a, b := l.pair() // once only
		l.write(a, text)
		require.Equal(t, text, l.read(b))
	})
}

// The bytes of several streams are counted together, and one of them is reset.
func TestResetAfterCountsAllStreams(t *testing.T) {
	bubble(t, simnet.Config{}, func(t *testing.T, l *lab) {
		a1, b1 := l.pair()
		a2, b2 := l.pair()
		l.net.ResetAfter(l.a, l.b, 7)
		l.write(b1, strings.Repeat("z", 20)) // the other way does not count
		l.write(a1, "aaaa")
		n, err := a2.Write([]byte("bbbb"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.Equal(t, 3, n)
		got, err := io.ReadAll(b2)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.Equal(t, "bbb", string(got))
		l.write(a1, "cc")
		time.Sleep(time.Second)
		require.Equal(t, "aaaacc", l.read(b1))

		l.net.ResetAfter(l.a, l.b, 1)
		l.net.ResetAfter(l.a, l.b, -1)
		l.write(a1, "dd")
	})
}
