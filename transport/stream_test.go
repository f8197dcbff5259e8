package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/logtest"
	"github.com/sessionproc/sessionproc/transport"
)

// echo sends back what it receives, to the end.
func echo(s *transport.Stream) {
	ctx := context.Background()
	for {
		chunk, err := s.Recv(ctx)
		if errors.Is(err, io.EOF) {
			_ = s.CloseSend()
			return
		}
		if err != nil || s.Send(ctx, chunk) != nil {
			return
		}
	}
}

func TestStreamCarriesChunksInOrderBothWays(t *testing.T) {
	server := overTCP(t, handler{stream: func(s *transport.Stream) {
		assert.Equal(t, "header", string(s.Header()))
		assert.Equal(t, "node", s.Peer())
		echo(s)
	}}, nil)
	addr := listen(t, server, transport.Bulk)
	client := overTCP(t, handler{}, nil)
	ctx := within(t, 20*time.Second)
	var wg sync.WaitGroup
	for stream := range 4 {
		wg.Go(func() {
			s, err := client.Peer(addr).Open(ctx, []byte("header"))
			if !assert.NoError(t, err) {
				return
			}
			const chunks = 200 // beyond the window
			chunk := func(i int) []byte {
				return bytes.Repeat([]byte{byte(i), byte(stream)}, (i*997%(transport.MaxChunk+2))/2)
			}
			wg.Go(func() {
				for i := range chunks {
					if !assert.NoError(t, s.Send(ctx, chunk(i))) {
						return
					}
				}
				assert.NoError(t, s.CloseSend())
				assert.ErrorContains(t, s.Send(ctx, nil), "after CloseSend")
			})
			for i := range chunks {
				got, err := s.Recv(ctx)
				if !assert.NoError(t, err) || !assert.True(t, bytes.Equal(chunk(i), got), "chunk %d", i) {
					return
				}
			}
			for range 2 {
				_, err = s.Recv(ctx)
				assert.Equal(t, io.EOF, err)
			}
			<-s.Done()
			assert.NoError(t, s.Err())
			s.Close("nothing left to close")
			assert.NoError(t, s.Err())
		})
	}
	wg.Wait()
}

// pair opens a stream and returns both ends; the far end's handler waits for the end of the test.
func pair(
	t *testing.T, n *network, tune func(*transport.Config),
) (a *transport.Transport, near, far *transport.Stream) {
	opened := make(chan *transport.Stream, 1)
	n.start(t, "b", handler{stream: func(s *transport.Stream) { opened <- s; <-n.over }}, tune)
	a = n.start(t, "a", handler{}, tune)
	near, err := a.Peer("b").Open(t.Context(), nil)
	require.NoError(t, err)
	return a, near, <-opened
}

func TestReceiverThatDoesNotReadBoundsTheSender(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		a, near, far := pair(t, n, nil)
		send := func(size int) (sent int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for {
				if err := near.Send(ctx, make([]byte, size)); err != nil {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					return sent
				}
				sent++
			}
		}
		first := send(1000)
		assert.Equal(t, (1<<20)/1064, first)

		other, err := a.Peer("b").Open(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, other.Send(t.Context(), make([]byte, 1000)), "another stream is not held up")
		other.Close("done")

		for range first {
			_, err := far.Recv(t.Context())
			require.NoError(t, err)
		}
		assert.InDelta(t, (1<<20)/64, send(0), (1<<19)/64, "empty chunks are bounded too")
		near.Close("enough")
	})
}

func TestSendWaitsUntilTheReceiverTakes(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		_, near, far := pair(t, n, nil)
		start := time.Now()
		go func() {
			for range 64 { // 4 MiB
				assert.NoError(t, near.Send(context.Background(), make([]byte, transport.MaxChunk)))
			}
			assert.NoError(t, near.CloseSend())
		}()
		got := 0
		for {
			chunk, err := far.Recv(t.Context())
			if err != nil {
				require.Equal(t, io.EOF, err)
				break
			}
			got += len(chunk)
			time.Sleep(time.Second)
		}
		assert.Equal(t, 4<<20, got)
		assert.Equal(t, 64*time.Second, time.Since(start))
		assert.Error(t, near.Send(t.Context(), nil))
		far.Close("done")
		<-near.Done()
	})
}

func TestCloseEndsBothSidesAfterWhatWasReceived(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		_, near, far := pair(t, n, nil)
		require.NoError(t, near.Send(t.Context(), []byte("last words")))
		near.Close("out of memory")
		synctest.Wait()
		<-far.Done()
		chunk, err := far.Recv(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "last words", string(chunk))
		_, err = far.Recv(t.Context())
		var e *transport.StreamError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "out of memory", e.Text)
		assert.Equal(t, err, far.Send(t.Context(), nil))
		assert.Equal(t, err, far.CloseSend())
		assert.Equal(t, err, far.Err())

		_, err = near.Recv(t.Context())
		assert.ErrorContains(t, err, "closed here")
		assert.ErrorContains(t, near.Send(t.Context(), nil), "closed here")
	})
}

func TestStreamEndsWithItsConnection(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var dialer *memConn
		n.fault = func(a, _ *memConn, _ transport.Class) { dialer = a }
		_, near, far := pair(t, n, nil)
		require.NoError(t, near.Send(t.Context(), []byte("kept")))
		synctest.Wait()
		_ = dialer.Close()
		<-near.Done()
		<-far.Done()
		_, err := near.Recv(t.Context())
		assert.ErrorContains(t, err, "connection lost")
		chunk, err := far.Recv(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "kept", string(chunk))
		_, err = far.Recv(t.Context())
		assert.ErrorContains(t, err, "connection lost")
	})
}

func TestHandlerThatReturnsEarlyClosesItsStream(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, nil)
		s, err := a.Peer("b").Open(t.Context(), nil)
		require.NoError(t, err)
		_, err = s.Recv(t.Context())
		assert.ErrorContains(t, err, "handler returned before the end")
	})
}

func TestOpenStreamsAreBounded(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		n.start(t, "b", handler{stream: func(s *transport.Stream) { <-s.Done(); time.Sleep(time.Second) }},
			func(c *transport.Config) { c.MaxStreams = 2 })
		a := n.start(t, "a", handler{}, func(c *transport.Config) { c.MaxStreams = 2 })
		c := n.start(t, "c", handler{}, func(c *transport.Config) { c.MaxStreams = 3 })
		for range 2 {
			_, err := a.Peer("b").Open(t.Context(), nil)
			require.NoError(t, err)
		}
		_, err := a.Peer("b").Open(t.Context(), nil)
		assert.ErrorContains(t, err, "MaxStreams, 2, are open")
		assert.False(t, transport.Sent(err))

		open := func() (*transport.Stream, error) { return c.Peer("b").Open(t.Context(), nil) }
		one, err := open()
		require.NoError(t, err)
		_, err = open()
		require.NoError(t, err)
		three, err := open()
		require.NoError(t, err)
		_, err = three.Recv(t.Context())
		assert.ErrorContains(t, err, "too many streams")

		one.Close("done")
		again, err := open() // its handler has not returned yet
		require.NoError(t, err)
		_, err = again.Recv(t.Context())
		assert.ErrorContains(t, err, "too many streams")
		time.Sleep(2 * time.Second)
		again, err = open()
		require.NoError(t, err)
		synctest.Wait()
		assert.NoError(t, again.Err())
	})
}

func TestChunkBeyondMaxChunkIsRefused(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		a, near, far := pair(t, n, nil)
		assert.ErrorContains(t, near.Send(t.Context(), make([]byte, transport.MaxChunk+1)), "exceeds MaxChunk, 65536")
		_, err := a.Peer("b").Open(t.Context(), make([]byte, transport.MaxChunk+1))
		assert.ErrorContains(t, err, "exceeds MaxChunk, 65536")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = far.Recv(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, near.Send(t.Context(), nil))
		chunk, err := far.Recv(t.Context())
		require.NoError(t, err, "the stream lives on")
		assert.Empty(t, chunk)
	})
}

func TestPeerThatBreaksAStreamsRulesIsDisconnected(t *testing.T) {
	open := rawFrame(3, num(12), num(1), []byte{0xc4, 0})
	data := func(stream uint64, size int) []byte {
		b := append(num(13), num(stream)...)
		return rawFrame(3, b, append([]byte{0xc6, 0, byte(size >> 16), byte(size >> 8), byte(size)}, make([]byte, size)...))
	}
	end := rawFrame(4, num(15), num(1), []byte{0xc2, 0xa0})
	for name, frames := range map[string][][]byte{
		"data beyond the credit":    append([][]byte{open}, slicesOf(data(1, 60000), 20)...),
		"chunk beyond MaxChunk":     {open, data(1, transport.MaxChunk+1)},
		"data behind the end":       {open, end, data(1, 1)},
		"a stream never opened":     {data(7, 1)},
		"a number used before":      {open, open},
		"credit beyond the window":  {open, rawFrame(3, num(14), num(1), num(1))},
		"a call on bulk":            {rawCall(1, nil)},
		"header beyond MaxChunk":    {rawFrame(3, num(12), num(1), append([]byte{0xc6, 0, 1, 0, 1}, make([]byte, 65537)...))},
		"more than a chunk's frame": {append([]byte{0, 2, 0, 0, 0x93, 13, 1}, make([]byte, 1<<17-3)...)},
	} {
		t.Run(name, func(t *testing.T) {
			onNetwork(t, func(t *testing.T, n *network) {
				var log logtest.Log
				tr := n.start(t, "b", handler{stream: func(s *transport.Stream) { <-s.Done() }},
					func(c *transport.Config) { c.Logger = log.Logger() })
				p := known(t, tr, transport.Bulk)
				for _, f := range frames {
					_, _ = p.Write(f)
				}
				p.requireEnded()
				synctest.Wait()
				assert.Contains(t, log.String(), "protocol error")
			})
		})
	}
}

func slicesOf(b []byte, n int) (all [][]byte) {
	for range n {
		all = append(all, b)
	}
	return all
}

func TestStreamWithACriticalElementIsRefused(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		tr := n.start(t, "b", handler{stream: func(*transport.Stream) { t.Error("served") }}, nil)
		p := known(t, tr, transport.Bulk)
		p.send(rawFrame(4, num(12), num(1), []byte{0xc4, 0}, extension(true)))
		kind, number, r, _ := p.read()
		assert.Equal(t, [2]uint64{15, 1}, [2]uint64{kind, number})
		assert.True(t, r.Bool())
		assert.Contains(t, string(r.Str()), "critical")
	})
}
