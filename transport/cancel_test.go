package transport_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

func TestCancelReachesTheHandler(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var served, cancelled *transport.Call
		n.start(t, "b", handler{
			serve:  func(c *transport.Call) { served = c; c.Tag = "tag" },
			cancel: func(c *transport.Call) { cancelled = c; assert.Equal(t, "tag", c.Tag) },
		}, nil)
		a := n.start(t, "a", handler{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := a.Peer("b").Call(ctx, &transport.Request{})
			ended <- err
		}()
		synctest.Wait()
		require.NotNil(t, served)
		require.Nil(t, cancelled)
		cancel()
		err := <-ended
		require.ErrorIs(t, err, context.Canceled)
		assert.True(t, transport.Sent(err))
		synctest.Wait()
		assert.Same(t, served, cancelled)
		served.Reply(0, []byte("too late")) // required, and dropped
		synctest.Wait()
	})
}

func TestDeadlineEndsACallAndALateReplyIsDropped(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var late []*transport.Call
		var cancels atomic.Int32
		n.start(t, "b", handler{
			serve: func(c *transport.Call) {
				if string(c.ID) == "slow" {
					late = append(late, c)
					return
				}
				c.Reply(0, c.Payload)
			},
			cancel: func(*transport.Call) { cancels.Add(1) },
		}, nil)
		a := n.start(t, "a", handler{}, nil)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			_, err := a.Peer("b").Call(ctx, &transport.Request{ID: "slow"})
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, time.Second, time.Since(start))
			synctest.Wait()
		}
		assert.EqualValues(t, 2, cancels.Load())
		for i := range 10 { // whatever comes late goes to nobody
			if i < len(late) {
				late[i].Reply(9, []byte("late"))
				synctest.Wait()
			}
			r, err := a.Peer("b").Call(t.Context(), &transport.Request{Payload: []byte{byte(i)}})
			require.NoError(t, err)
			require.Equal(t, []byte{byte(i)}, r.Payload)
			r.Release()
		}
		assert.Equal(t, 1, n.dialed(), "on the same connection")
	})
}

// A caller whose time is over is told what its request was waiting for. That changes
// neither when it ends, nor what arrives until then.
func TestCallPastItsDeadlineSaysWhatItWaitedFor(t *testing.T) {
	const rain = "while it rained"
	for name, c := range map[string]struct {
		given, answered time.Duration // 0: not at all
		says            string
		asked           int
	}{
		"it waits":                     {given: 10 * time.Second, says: rain, asked: 1},
		"an answer in the last moment": {given: 10 * time.Second, answered: 10*time.Second - time.Millisecond, asked: 1},
		"an answer in time":            {given: 10 * time.Second, answered: 9 * time.Second},
		"a short time":                 {given: 60 * time.Millisecond, says: rain, asked: 1},
		"too short a time to ask":      {given: 40 * time.Millisecond},
		"the peer does not know it":    {given: time.Second, says: "", asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			onNetwork(t, func(t *testing.T, n *network) {
				var asked atomic.Int32
				n.start(t, "b", handler{
					serve: func(call *transport.Call) {
						if c.answered > 0 {
							time.AfterFunc(c.answered, func() { call.Reply(7, nil) })
						}
					},
					why: func(*transport.Call) string { asked.Add(1); return c.says },
				}, nil)
				peer := n.start(t, "a", handler{}, nil).Peer("b")
				_, err := peer.Connect(t.Context())
				require.NoError(t, err)
				for range 2 { // the second one has what is used again
					ctx, cancel := context.WithTimeout(t.Context(), c.given)
					start := time.Now()
					reply, err := peer.Call(ctx, &transport.Request{})
					cancel()
					if c.answered > 0 {
						require.NoError(t, err)
						require.Equal(t, uint32(7), reply.Flags)
						continue
					}
					require.Equal(t, c.given, time.Since(start))
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.True(t, transport.Sent(err))
					require.Equal(t, c.says, transport.Why(err))
				}
				time.Sleep(time.Minute)
				require.EqualValues(t, 2*c.asked, asked.Load())
			})
		})
	}
}

// Requests with all sorts of deadlines are asked for, each in its time.
func TestEachRequestIsAskedAboutInItsOwnTime(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		n.start(t, "b", handler{serve: func(*transport.Call) {},
			why: func(c *transport.Call) string { return string(c.ID) }}, nil)
		peer := n.start(t, "a", handler{}, nil).Peer("b")
		_, err := peer.Connect(t.Context())
		require.NoError(t, err)
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i*7%31) * 10 * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+i*37%1000)*time.Millisecond)
				defer cancel()
				_, err := peer.Call(ctx, &transport.Request{ID: strconv.Itoa(i)})
				assert.Equal(t, strconv.Itoa(i), transport.Why(err))
			})
		}
		all.Wait()
	})
}

func TestEndedContextSendsNothing(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var seen atomic.Int32
		n.start(t, "b", handler{serve: func(c *transport.Call) { seen.Add(1); c.Ack() }}, nil)
		a := n.start(t, "a", handler{}, nil)
		_, err := a.Peer("b").Connect(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err = a.Peer("b").Cast(ctx, &transport.Request{})
		require.ErrorIs(t, err, context.Canceled)
		assert.False(t, transport.Sent(err))
		synctest.Wait()
		assert.Zero(t, seen.Load())
	})
}

func TestConnectionEndCancelsRunningCalls(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var running []*transport.Call
		var cancelled atomic.Int32
		n.start(t, "b", handler{
			serve:  func(c *transport.Call) { running = append(running, c) },
			cancel: func(*transport.Call) { cancelled.Add(1) },
		}, nil)
		a := n.start(t, "a", handler{}, nil)
		var failed atomic.Int32
		for range 20 {
			go func() {
				_, err := a.Peer("b").Call(context.Background(), &transport.Request{})
				assert.ErrorIs(t, err, transport.ErrClosed)
				failed.Add(1)
			}()
		}
		synctest.Wait()
		require.Len(t, running, 20)
		a.Forget("b")
		synctest.Wait()
		assert.EqualValues(t, 20, failed.Load())
		assert.EqualValues(t, 20, cancelled.Load())
		for _, c := range running {
			c.Reply(0, nil) // to nobody
		}
	})
}

func TestCancelRacingWithTheAnswerHarmsNoOtherCall(t *testing.T) {
	var mu sync.Mutex
	wrong := 0
	server := overTCP(t, handler{
		serve: func(c *transport.Call) {
			c.Tag = string(c.Payload)
			go func() { c.Reply(0, c.Payload) }()
		},
		cancel: func(c *transport.Call) {
			tag, _ := c.Tag.(string)
			mu.Lock()
			defer mu.Unlock()
			if tag != "impatient" {
				wrong++
			}
		},
	}, nil)
	addr := listen(t, server, transport.Calls)
	client := overTCP(t, handler{}, nil)
	_, err := client.Peer(addr).Connect(t.Context())
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 150 {
				if i%2 == 0 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i+1)*15*time.Microsecond)
					r, err := client.Peer(addr).Call(ctx, &transport.Request{Payload: []byte("impatient")})
					assert.True(t, err == nil || errors.Is(err, context.DeadlineExceeded), "%v", err)
					r.Release()
					cancel()
					continue
				}
				r, err := client.Peer(addr).Call(context.Background(), &transport.Request{Payload: []byte("patient")})
				if assert.NoError(t, err) {
					assert.Equal(t, "patient", string(r.Payload))
				}
				r.Release()
			}
		})
	}
	wg.Wait()
	_ = client.Close()
	_ = server.Close()
	mu.Lock()
	defer mu.Unlock()
	assert.Zero(t, wrong, "calls cancelled whose caller waited")
}
