package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

func TestCallsOfManyCallersGetTheirOwnReplies(t *testing.T) {
	server := overTCP(t, handler{serve: func(c *transport.Call) {
		go func() { c.Reply(c.Flags+1, append(append([]byte(nil), c.ID...), c.Payload...)) }()
	}}, nil)
	addr := listen(t, server, transport.Calls)
	client := overTCP(t, handler{}, nil)
	ctx := within(t, 20*time.Second)

	var wg sync.WaitGroup
	for caller := range 64 {
		wg.Go(func() {
			for i := range 100 {
				id := fmt.Sprintf("id-%d-%d", caller, i)
				payload := bytes.Repeat([]byte{byte(i)}, i*37)
				r, err := client.Peer(addr).Call(ctx, &transport.Request{ID: id, Flags: uint32(i), Payload: payload})
				if !assert.NoError(t, err) {
					return
				}
				assert.Equal(t, id+string(payload), string(r.Payload))
				assert.EqualValues(t, i+1, r.Flags)
				r.Release()
				r.Release() // harmless
			}
		})
	}
	wg.Wait()
}

func TestCallCarriesEveryField(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var tags []any
		n.start(t, "b", handler{serve: func(c *transport.Call) {
			assert.Equal(t, "id|kind|method|key", fmt.Sprintf("%s|%s|%s|%s", c.ID, c.Kind, c.Method, c.Key))
			assert.Equal(t, []string{"one", "two"}, c.Chain())
			assert.Equal(t, "trace", string(c.Trace))
			assert.Equal(t, "a", c.Peer)
			assert.Equal(t, 3*time.Second, time.Until(c.Deadline), "what remains of the caller's time")
			tags = append(tags, c.Tag)
			c.Tag = "mine"
			c.Reply(7, c.Payload)
		}}, nil)
		a := n.start(t, "a", handler{}, nil)
		for range 3 { // the call is reused
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			r, err := a.Peer("b").Call(ctx, &transport.Request{
				Flags: 1 << 31, ID: "id", Kind: "kind", Method: "method", Key: "key",
				Chain: []string{"one", "two"}, Trace: []byte("trace"), Payload: []byte("payload"),
			})
			cancel()
			require.NoError(t, err)
			assert.Equal(t, "payload", string(r.Payload))
			assert.EqualValues(t, 7, r.Flags)
		}
		assert.Contains(t, tags, any("mine"), "the tag stays with the call")
		name, err := a.Peer("b").Connect(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "b", name)
		assert.Equal(t, 1, n.dialed())
	})
}

func TestCallWithoutADeadlineHasNone(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		n.start(t, "b", handler{serve: func(c *transport.Call) {
			assert.True(t, c.Deadline.IsZero())
			assert.Nil(t, c.Chain())
			c.Reply(0, nil)
		}}, nil)
		a := n.start(t, "a", handler{}, nil)
		r, err := a.Peer("b").Call(context.Background(), &transport.Request{})
		require.NoError(t, err)
		assert.Empty(t, r.Payload)
	})
}

func TestBigCallsAndRepliesArriveWhole(t *testing.T) {
	server := overTCP(t, handler{}, nil)
	addr := listen(t, server, transport.Calls)
	client := overTCP(t, handler{}, nil)
	var wg sync.WaitGroup
	for _, size := range []int{0, 1, 65000, 65436, 65500, 65536, 200000, 4<<20 - 100} {
		wg.Go(func() {
			payload := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			r, err := client.Peer(addr).Call(within(t, 20*time.Second), &transport.Request{ID: "id", Payload: payload})
			if assert.NoError(t, err) {
				assert.True(t, bytes.Equal(payload, r.Payload), "%d bytes", size)
				r.Release()
			}
		})
	}
	wg.Wait()
}

func TestRequestsOfOneGoroutineArriveInOrder(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var got []byte
		n.start(t, "b", handler{serve: func(c *transport.Call) {
			got = append(got, c.Payload...)
			c.Ack()
		}}, nil)
		a := n.start(t, "a", handler{}, nil)
		for i := range 200 {
			require.NoError(t, a.Peer("b").Cast(t.Context(), &transport.Request{Payload: []byte{byte(i)}}))
		}
		for i, b := range got {
			require.Equal(t, byte(i), b)
		}
		require.Len(t, got, 200)
	})
}

func TestCastsAreAcknowledgedInBatches(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var acceptor *memConn
		n.fault = func(_, b *memConn, _ transport.Class) { acceptor = b }
		const casts = 3000
		var held []*transport.Call
		n.start(t, "b", handler{serve: func(c *transport.Call) {
			assert.True(t, c.Cast)
			if held = append(held, c); len(held) == casts {
				go func() { // as sessions would, while the flusher has not run yet
					for _, c := range held {
						c.Ack()
					}
				}()
			}
		}}, nil)
		a := n.start(t, "a", handler{}, nil)
		_, err := a.Peer("b").Connect(t.Context())
		require.NoError(t, err)
		before := acceptor.givenBytes()
		var wg sync.WaitGroup
		for range casts {
			wg.Go(func() {
				assert.NoError(t, a.Peer("b").Cast(t.Context(), &transport.Request{Payload: make([]byte, 10)}))
			})
		}
		wg.Wait()
		perAck := float64(acceptor.givenBytes()-before) / casts
		assert.Less(t, perAck, 4.5, "bytes for one acknowledgement; one in a frame alone takes 9")
	})
}

func TestFailReachesTheCaller(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		n.start(t, "b", handler{serve: func(c *transport.Call) { c.Fail(77, "no such thing", []byte("detail")) }}, nil)
		a := n.start(t, "a", handler{}, nil)
		for _, do := range []func() error{
			func() error { _, err := a.Peer("b").Call(t.Context(), &transport.Request{}); return err },
			func() error { return a.Peer("b").Cast(t.Context(), &transport.Request{}) },
		} {
			err := do()
			var e *transport.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, &transport.Error{Code: 77, Text: "no such thing", Detail: []byte("detail")}, e)
			assert.ErrorContains(t, err, "no such thing (code 77)")
			assert.True(t, transport.Sent(err))
		}
	})
}

func TestDetachKeepsACallBeyondItsAnswer(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var kept []*transport.Call
		n.start(t, "b", handler{serve: func(c *transport.Call) {
			c.Detach()
			kept = append(kept, c)
			c.Ack()
		}}, func(cfg *transport.Config) { cfg.MaxInflight = 1000 }) // a detached call counts only until its answer
		a := n.start(t, "a", handler{}, nil)
		for i := range 100 {
			require.NoError(t, a.Peer("b").Cast(t.Context(), &transport.Request{Payload: bytes.Repeat([]byte{byte(i)}, 50)}))
		}
		for i, c := range kept {
			require.Equal(t, bytes.Repeat([]byte{byte(i)}, 50), c.Payload)
		}
	})
}

func TestAnsweringTwicePanics(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		n.start(t, "b", handler{serve: func(c *transport.Call) {
			c.Reply(0, nil)
			assert.PanicsWithValue(t, "transport: a Call was answered twice", c.Ack)
		}}, nil)
		a := n.start(t, "a", handler{}, nil)
		_, err := a.Peer("b").Call(t.Context(), &transport.Request{})
		require.NoError(t, err)
	})
}
