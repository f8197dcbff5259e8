package simnet_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

// conform runs a test of what any net.Conn must do, after the tests of
// golang.org/x/net/nettest: on a simulated stream in virtual and in real time,
// and on a real one, which shows that the test asks for nothing more.
func conform(t *testing.T, f func(t *testing.T, a, b net.Conn)) {
	t.Helper()
	t.Run("virtual", func(t *testing.T) {
		bubble(t, simnet.Config{Link: simnet.Link{Jitter: time.Millisecond}}, func(t *testing.T, l *lab) {
			a, b := l.pair()
			f(t, a, b)
			a, b = l.pair()
			f(t, b, a)
		})
	})
	t.Run("real time", func(t *testing.T) {
		t.Parallel()
		a, b := newLab(t, simnet.Config{}).pair()
		f(t, a, b)
	})
	t.Run("real network", func(t *testing.T) {
		t.Parallel()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		a, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		b, err := ln.Accept()
		require.NoError(t, err)
		defer a.Close()
		defer b.Close()
		f(t, a, b)
	})
}

var past = time.Unix(1, 0)

func timedOut(t *testing.T, err error) {
	t.Helper()
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout())
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "tcp", op.Net)
}

func TestConformBasicIO(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		want := make([]byte, 3<<20)
		r := rand.NewChaCha8([32]byte{1})
		r.Read(want)
		var done sync.WaitGroup
		done.Go(func() {
			rest := want
			for len(rest) > 0 {
				piece := rest[:min(len(rest), 1+rand.IntN(200<<10))]
				rest = rest[len(piece):]
				n, err := a.Write(piece)
				assert.NoError(t, err)
				assert.Equal(t, len(piece), n)
			}
		})
		got := make([]byte, len(want))
		_, err := io.ReadFull(b, got)
		require.NoError(t, err)
		require.Equal(t, sha256.Sum256(want), sha256.Sum256(got))
		done.Wait()
	})
}

func TestConformPingPong(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		var done sync.WaitGroup
		for _, c := range []net.Conn{a, b} {
			done.Go(func() {
				buf := make([]byte, 8)
				for i := range 50 {
					if c == a {
						_, err := c.Write(bytes.Repeat([]byte{byte(i)}, 8))
						assert.NoError(t, err)
					}
					_, err := io.ReadFull(c, buf)
					assert.NoError(t, err)
					assert.Equal(t, bytes.Repeat([]byte{byte(i)}, 8), buf)
					if c == b {
						_, err := c.Write(buf)
						assert.NoError(t, err)
					}
				}
			})
		}
		done.Wait()
	})
}

// Many goroutines read with short deadlines while data comes; none of it is read twice or lost.
func TestConformRacyRead(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		const size = 64 << 10
		var done sync.WaitGroup
		done.Go(func() {
			for range size / 1024 {
				_, err := a.Write(make([]byte, 1024))
				assert.NoError(t, err)
			}
		})
		var mu sync.Mutex
		total := 0
		for range 8 {
			done.Go(func() {
				for {
					n, err := b.Read(make([]byte, 256))
					mu.Lock()
					total += n
					full := total == size
					mu.Unlock()
					if full {
						b.SetReadDeadline(past) // for those who wait
						return
					}
					if err != nil {
						return
					}
				}
			})
		}
		done.Wait()
		require.Equal(t, size, total)
		require.NoError(t, b.SetReadDeadline(time.Time{}))
	})
}

// Writes do not mix.
func TestConformRacyWrite(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		const size = 600 << 10 // more than a buffer
		var done sync.WaitGroup
		for i := range 4 {
			done.Go(func() {
				_, err := a.Write(bytes.Repeat([]byte{byte(i)}, size))
				assert.NoError(t, err)
			})
		}
		got := make([]byte, 4*size)
		_, err := io.ReadFull(b, got)
		require.NoError(t, err)
		for i := range 4 {
			part := got[i*size : (i+1)*size]
			require.Equal(t, size, bytes.Count(part, part[:1]))
		}
		done.Wait()
	})
}

func TestConformReadTimeout(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		require.NoError(t, a.SetReadDeadline(past))
		_, err := a.Read(make([]byte, 1))
		timedOut(t, err)
		_, err = a.Write([]byte("x"))
		require.NoError(t, err, "the other direction goes on")
		_, err = io.ReadFull(b, make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, a.SetReadDeadline(time.Time{}))
	})
}

func TestConformWriteTimeout(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		require.NoError(t, a.SetWriteDeadline(past))
		n, err := a.Write([]byte("x"))
		require.Zero(t, n)
		timedOut(t, err)
		require.NoError(t, a.SetWriteDeadline(time.Time{}))
		_, err = a.Write([]byte("y"))
		require.NoError(t, err)
		got := make([]byte, 1)
		_, err = io.ReadFull(b, got)
		require.NoError(t, err)
		require.Equal(t, "y", string(got))
	})
}

// A deadline in the past wins over data that is there; without it the data is still there.
func TestConformPastDeadline(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		_, err := a.Write([]byte("x"))
		require.NoError(t, err)
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, b.SetDeadline(past))
		_, err = b.Read(make([]byte, 1))
		timedOut(t, err)
		_, err = b.Write(make([]byte, 1))
		timedOut(t, err)
		require.NoError(t, b.SetDeadline(time.Time{}))
		got := make([]byte, 1)
		_, err = b.Read(got)
		require.NoError(t, err)
		require.Equal(t, "x", string(got))
	})
}

// Deadlines that are set, or moved, while somebody waits.
func TestConformDeadlineWhileWaiting(t *testing.T) {
	for name, until := range map[string]func() time.Time{
		"past": func() time.Time { return past }, "now": time.Now,
		"future": func() time.Time { return time.Now().Add(20 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			conform(t, func(t *testing.T, a, _ net.Conn) {
				require.NoError(t, a.SetDeadline(time.Now().Add(time.Hour)))
				var read, write error
				var done sync.WaitGroup
				done.Go(func() { _, read = a.Read(make([]byte, 1)) })
				done.Go(func() {
					for write == nil {
						_, write = a.Write(make([]byte, 64<<10))
					}
				})
				time.Sleep(20 * time.Millisecond)
				require.NoError(t, a.SetReadDeadline(until()))
				require.NoError(t, a.SetWriteDeadline(until()))
				done.Wait()
				timedOut(t, read)
				timedOut(t, write)
				require.NoError(t, a.SetDeadline(time.Time{}))
			})
		})
	}
}

func TestConformCloseEndsAllWaiting(t *testing.T) {
	for _, peer := range []bool{false, true} {
		conform(t, func(t *testing.T, a, b net.Conn) {
			var done sync.WaitGroup
			for range 3 {
				done.Go(func() {
					_, err := a.Read(make([]byte, 1))
					assert.Error(t, err)
				})
				done.Go(func() {
					var err error
					for err == nil {
						_, err = a.Write(make([]byte, 64<<10))
					}
					assert.NotErrorIs(t, err, io.EOF)
				})
			}
			time.Sleep(20 * time.Millisecond)
			closing := a
			if peer {
				closing = b
			}
			require.NoError(t, closing.Close())
			done.Wait()
			require.ErrorIs(t, closing.Close(), net.ErrClosed)
			_, err := closing.Read(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
			_, err = closing.Write(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
			require.ErrorIs(t, closing.SetDeadline(time.Time{}), net.ErrClosed)
		})
	}
}

func TestConformConcurrentMethods(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		var done sync.WaitGroup
		for range 20 {
			done.Go(func() { a.Read(make([]byte, 64)) })
			done.Go(func() { a.Write(make([]byte, 64)) })
			done.Go(func() { a.SetDeadline(time.Now().Add(10 * time.Millisecond)) })
			done.Go(func() { a.SetReadDeadline(past) })
			done.Go(func() { a.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) })
			done.Go(func() { a.LocalAddr() })
			done.Go(func() { a.RemoteAddr() })
		}
		time.AfterFunc(50*time.Millisecond, func() { a.SetDeadline(past) })
		done.Wait()
		require.NoError(t, a.SetDeadline(time.Time{}))
		require.NoError(t, b.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		_, _ = io.Copy(io.Discard, b)
		require.NoError(t, b.SetReadDeadline(time.Time{}))
	})
}

func TestConformHalfClose(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		defer a.Close()
		defer b.Close()
		_, err := a.Write([]byte("last words"))
		require.NoError(t, err)
		require.NoError(t, a.(interface{ CloseWrite() error }).CloseWrite())
		_, err = a.Write([]byte("x"))
		require.ErrorContains(t, err, "broken pipe")
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "last words", string(got))
		_, err = b.Write([]byte("answer"))
		require.NoError(t, err)
		require.NoError(t, b.Close())
		got, err = io.ReadAll(a)
		require.NoError(t, err)
		require.Equal(t, "answer", string(got))
	})
}

// Whoever closes with unread data resets the other side.
func TestConformCloseWithUnreadDataResets(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		_, err := a.Write([]byte("nobody reads this"))
		require.NoError(t, err)
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, b.Close())
		_, err = a.Read(make([]byte, 1))
		require.ErrorContains(t, err, "connection reset by peer")
		_, err = a.Write([]byte("x"))
		require.Error(t, err)
		require.NoError(t, a.Close())
	})
}

// What was written before Close arrives; writing to one who has closed ends in a reset.
func TestConformCloseAfterWrite(t *testing.T) {
	conform(t, func(t *testing.T, a, b net.Conn) {
		_, err := a.Write([]byte("farewell"))
		require.NoError(t, err)
		require.NoError(t, a.Close())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "farewell", string(got))
		for err == nil { // the first write may go through
			_, err = b.Write([]byte("too late"))
			time.Sleep(5 * time.Millisecond)
		}
		require.ErrorContains(t, err, "write")
		require.NoError(t, b.Close())
	})
}

// A write that waits for a reader must not stop the time of a bubble, and neither must the writers behind it.
func TestWaitingIsDurablyBlocking(t *testing.T) {
	bubble(t, simnet.Config{Buffer: 10}, func(t *testing.T, l *lab) {
		a, b := l.pair()
		for range 3 {
			go a.Write(make([]byte, 100))
			go b.Read(nil)
		}
		go l.a.Dial(t.Context(), "tcp", "10.9.9.9:1")
		synctest.Wait()
		begin := time.Now()
		time.Sleep(time.Hour)
		require.Equal(t, time.Hour, time.Since(begin))
	})
}
