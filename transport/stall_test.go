package transport_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/logtest"
	"github.com/sessionproc/sessionproc/transport"
)

func TestPeerThatStopsReadingHarmsOnlyItself(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var log logtest.Log
		answer := make(chan struct{})
		var answered sync.WaitGroup
		tr := n.start(t, "b", handler{
			serve: func(c *transport.Call) {
				if c.Peer != "raw" {
					c.Reply(0, c.Payload)
					return
				}
				answered.Go(func() { <-answer; c.Reply(0, make([]byte, 10<<10)) })
			},
		}, func(c *transport.Config) { c.MaxFrame = 1 << 20; c.MaxOutput = 2 << 20; c.Logger = log.Logger() })
		a := n.start(t, "a", handler{}, nil)
		stalled := known(t, tr, transport.Calls)
		for i := range 1000 {
			stalled.send(rawCall(uint64(i+1), nil))
		}
		synctest.Wait()
		start := time.Now()
		close(answer)
		answered.Wait()
		assert.Zero(t, time.Since(start), "Reply does not wait for the socket")
		for range 100 {
			r, err := a.Peer("b").Call(t.Context(), &transport.Request{Payload: []byte("hello")})
			require.NoError(t, err)
			assert.Equal(t, "hello", string(r.Payload))
		}
		assert.Zero(t, time.Since(start), "nor does anybody else")
		time.Sleep(slowWrite + time.Millisecond)
		stalled.send(rawCall(1001, nil)) // its answer finds that nothing was read since
		synctest.Wait()
		got := 0
		for _, _, _, ok := stalled.read(); ok; _, _, _, ok = stalled.read() {
			got++
		}
		assert.Less(t, got, 10, "what the socket held, then the end")
		assert.Contains(t, log.String(), "peer does not read")
		_, err := a.Peer("b").Call(t.Context(), &transport.Request{})
		require.NoError(t, err)
		assert.Equal(t, 1, n.dialed())
	})
}

// slowWrite is how long a write may take before MaxOutput counts.
const slowWrite = 250 * time.Millisecond

func TestBurstBeyondAllMeasureClosesTheConnectionAtOnce(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var log logtest.Log
		tr := n.start(t, "b", handler{serve: func(c *transport.Call) { c.Reply(0, make([]byte, 1<<19)) }},
			func(c *transport.Config) { c.MaxFrame = 1 << 20; c.MaxOutput = 2 << 20; c.Logger = log.Logger() })
		stalled := known(t, tr, transport.Calls)
		start := time.Now()
		for i := range 60 { // 30 MiB, 8 times MaxOutput is 16
			stalled.send(rawCall(uint64(i+1), nil))
		}
		synctest.Wait()
		assert.Zero(t, time.Since(start))
		assert.Contains(t, log.String(), "peer does not read")
	})
}

func TestWriteThatDoesNotEndClosesTheConnection(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		tr := n.start(t, "b", handler{serve: func(c *transport.Call) { c.Reply(0, make([]byte, 100<<10)) }}, nil)
		p := known(t, tr, transport.Calls)
		start := time.Now()
		p.send(rawCall(1, nil))
		for i := range 10 { // it lives, and does not read
			time.Sleep(time.Second)
			if _, err := p.Write(rawFrame(2, num(11), num(uint64(i)))); err != nil {
				break
			}
		}
		took := time.Since(start)
		assert.GreaterOrEqual(t, took, 5*time.Second)
		assert.LessOrEqual(t, took, 8*time.Second)
		p.requireEnded()
	})
}

func TestSilentPeerIsDisconnectedAndAnIdleOneIsNot(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		tr := n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, nil)
		_, err := a.Peer("b").Call(t.Context(), &transport.Request{})
		require.NoError(t, err)
		start := time.Now()
		p := known(t, tr, transport.Calls)
		p.requireEnded()
		assert.GreaterOrEqual(t, time.Since(start), 15*time.Second)
		assert.LessOrEqual(t, time.Since(start), 20*time.Second)
		time.Sleep(time.Hour)
		_, err = a.Peer("b").Call(t.Context(), &transport.Request{})
		require.NoError(t, err)
		assert.Equal(t, 1, n.dialed(), "pings kept the idle one")

		// The other direction: a server that falls silent fails the calls that wait for it.
		var served rawPeer
		failed := make(chan error, 1)
		served = dialedBy(t, n, func() {
			_, err := a.Peer("raw").Call(context.Background(), &transport.Request{})
			failed <- err
		})
		_, _, _, ok := served.read()
		require.True(t, ok)
		start = time.Now()
		err = <-failed
		assert.ErrorContains(t, err, "silent")
		assert.True(t, transport.Sent(err))
		assert.LessOrEqual(t, time.Since(start), 20*time.Second)
	})
}

func TestPingIsAnswered(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		p := known(t, n.start(t, "b", handler{}, nil), transport.Calls)
		p.send(rawFrame(2, num(10), num(12345)))
		kind, number, _, _ := p.read()
		assert.Equal(t, [2]uint64{11, 12345}, [2]uint64{kind, number})
	})
}

func TestRequestsWaitForRoomInTheOutput(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var dialer *memConn
		n.fault = func(a, _ *memConn, _ transport.Class) { dialer = a }
		n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, func(c *transport.Config) { c.MaxFrame = 1 << 20; c.MaxOutput = 2 << 20 })
		_, err := a.Peer("b").Connect(t.Context())
		require.NoError(t, err)
		release := dialer.holdWrites()
		var ok atomic.Int32
		for range 30 { // 15 MB through an output of 2
			go func() {
				if _, err := a.Peer("b").Call(context.Background(),
					&transport.Request{Payload: make([]byte, 500<<10)}); assert.NoError(t, err) {
					ok.Add(1)
				}
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = a.Peer("b").Call(ctx, &transport.Request{Payload: make([]byte, 500<<10)})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.False(t, transport.Sent(err), "it was never in the buffer")
		release()
		synctest.Wait()
		assert.EqualValues(t, 30, ok.Load())
	})
}

func TestBytesInFlightAreBoundedOverAllConnections(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var held []*transport.Call
		var mu sync.Mutex
		n.start(t, "b", handler{serve: func(c *transport.Call) {
			mu.Lock()
			defer mu.Unlock()
			held = append(held, c)
		}}, func(c *transport.Config) { c.MaxInflight = 1 << 20 })
		call := func(tr *transport.Transport, size int) error {
			_, err := tr.Peer("b").Call(context.Background(), &transport.Request{Payload: make([]byte, size)})
			return err
		}
		a, c := n.start(t, "a", handler{}, nil), n.start(t, "c", handler{}, nil)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { assert.NoError(t, call(a, 100<<10)) })
			wg.Go(func() { assert.NoError(t, call(c, 100<<10)) })
		}
		synctest.Wait()
		require.Len(t, held, 10)
		for _, size := range []int{30 << 10, 100 << 10, 3 << 20} { // in the read buffer, and beyond it
			for _, tr := range []*transport.Transport{a, c} {
				var e *transport.Error
				require.ErrorAs(t, call(tr, size), &e)
				require.Equal(t, transport.CodeOverloaded, e.Code)
			}
		}
		for _, c := range held {
			c.Reply(0, nil)
		}
		wg.Wait()
		held = nil
		wg.Go(func() { assert.NoError(t, call(a, 900<<10)) }) // all of it is free again
		synctest.Wait()
		require.Len(t, held, 1)
		held[0].Ack()
		wg.Wait()
	})
}

func TestReplyBeyondMaxFrameIsAnErrorThatSaysSo(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		n.start(t, "b", handler{serve: func(c *transport.Call) { c.Reply(0, make([]byte, 5000)) }},
			func(c *transport.Config) { c.MaxFrame = 4 << 10 })
		a := n.start(t, "a", handler{}, nil)
		_, err := a.Peer("b").Call(t.Context(), &transport.Request{})
		var e *transport.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, transport.CodeTooLarge, e.Code)
		assert.Equal(t, "reply of 5000 bytes exceeds Config.MaxFrame, 4096 bytes", e.Text)
	})
}
