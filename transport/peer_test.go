package transport_test

import (
	"context"
	"errors"
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

func TestConcurrentCallersShareOneDial(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		n.fault = func(_, _ *memConn, _ transport.Class) { time.Sleep(time.Second) }
		n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, nil)
		require.Same(t, a.Peer("b"), a.Peer("b"))
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, err := a.Peer("b").Call(t.Context(), &transport.Request{})
				assert.NoError(t, err)
			})
		}
		wg.Go(func() { // each is bounded by its own ctx
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := a.Peer("b").Call(ctx, &transport.Request{})
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.False(t, transport.Sent(err))
			assert.Equal(t, 100*time.Millisecond, time.Since(start))
		})
		wg.Wait()
		assert.Equal(t, 1, n.dialed())
	})
}

func TestFailedDialFailsCallsFastDuringTheBackoff(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		a := n.start(t, "a", handler{}, nil)
		call := func() error { _, err := a.Peer("b").Call(t.Context(), &transport.Request{}); return err }
		start := time.Now()
		for time.Since(start) < time.Minute { // somebody always wants it
			err := call()
			require.ErrorIs(t, err, errNobody)
			require.ErrorContains(t, err, "transport: dial b: ")
			require.False(t, transport.Sent(err))
			time.Sleep(time.Millisecond)
		}
		dials := n.dialed()
		assert.Greater(t, dials, 45, "about once per second")
		assert.Less(t, dials, 130)

		_, err := a.Peer("b").Connect(t.Context())
		require.ErrorIs(t, err, errNobody)
		assert.Equal(t, dials+1, n.dialed(), "Connect does not wait")

		n.start(t, "b", handler{}, nil)
		_, err = a.Peer("b").Connect(t.Context())
		require.NoError(t, err)
		require.NoError(t, call())
	})
}

func TestNextCallRedialsAfterTheConnectionBroke(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		b := n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, nil)
		for range 3 {
			_, err := a.Peer("b").Call(t.Context(), &transport.Request{})
			require.NoError(t, err)
			require.NoError(t, b.Close())
			b = n.start(t, "b", handler{}, nil)
			synctest.Wait()
		}
		assert.Equal(t, 3, n.dialed())
	})
}

func TestForgottenPeerFailsAndANewOneWorks(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, nil)
		old := a.Peer("b")
		_, err := old.Call(t.Context(), &transport.Request{})
		require.NoError(t, err)
		a.Forget("b")
		a.Forget("b")
		_, err = old.Call(t.Context(), &transport.Request{})
		require.ErrorIs(t, err, transport.ErrClosed)
		assert.False(t, transport.Sent(err))
		_, err = a.Peer("b").Call(t.Context(), &transport.Request{})
		require.NoError(t, err)

		n.fault = func(_, _ *memConn, _ transport.Class) { time.Sleep(time.Second) }
		dialing := a.Peer("slow")
		n.start(t, "slow", handler{}, nil)
		go func() { time.Sleep(time.Millisecond); a.Forget("slow") }()
		_, err = dialing.Call(t.Context(), &transport.Request{})
		require.ErrorIs(t, err, transport.ErrClosed)
	})
}

func TestHandshakeRefusalsAreKnownAndLoggedOnBothSides(t *testing.T) {
	for name, tc := range map[string]struct{ dialer, acceptor hello }{
		"the acceptor refuses": {hello{name: "blue"}, hello{name: "red", refuse: "blue"}},
		"the dialer refuses":   {hello{name: "red", refuse: "blue"}, hello{name: "blue"}},
	} {
		t.Run(name, func(t *testing.T) {
			onNetwork(t, func(t *testing.T, n *network) {
				var logA, logB logtest.Log
				n.start(t, "b", handler{serve: func(*transport.Call) { t.Error("served") }},
					func(c *transport.Config) { c.Handshake = tc.acceptor; c.Logger = logB.Logger() })
				a := n.start(t, "a", handler{},
					func(c *transport.Config) { c.Handshake = tc.dialer; c.Logger = logA.Logger() })
				const why = `cluster "blue" is not "red"`
				for range 3 {
					_, err := a.Peer("b").Connect(t.Context())
					require.ErrorContains(t, err, why)
					var refused interface{ Refused() bool }
					require.ErrorAs(t, err, &refused)
					assert.True(t, refused.Refused())
					var byPeer *transport.RefusedError
					if assert.Equal(t, tc.acceptor.refuse != "", errors.As(err, &byPeer)) && byPeer != nil {
						assert.Equal(t, why, byPeer.Reason)
					}
					synctest.Wait()
				}
				_, err := a.Peer("b").Call(t.Context(), &transport.Request{})
				require.ErrorContains(t, err, why)
				assert.False(t, transport.Sent(err))
				for _, log := range []string{logA.String(), logB.String()} {
					assert.Contains(t, log, `cluster \"blue\" is not \"red\"`)
					assert.Regexp(t, `^[^\n]*\n$`, log, "once in 10 s")
				}
			})
		})
	}
}

func TestShakeLeavesTheConnectionToItsUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(64 << 10)
		go func() {
			_, err := transport.Shake(a, hello{name: "a"}, true, time.Second)
			assert.NoError(t, err)
			_, _ = a.Write([]byte("gossip"))
		}()
		name, err := transport.Shake(b, hello{name: "b"}, false, time.Second)
		require.NoError(t, err)
		assert.Equal(t, "a", name)
		time.Sleep(time.Minute) // no deadline is left behind
		got := make([]byte, 10)
		m, err := b.Read(got)
		require.NoError(t, err)
		assert.Equal(t, "gossip", string(got[:m]))
	})
}

func TestShakeRefusesAHelloOfItsOwnThatIsTooLong(t *testing.T) {
	a, _ := memPair(64 << 10)
	_, err := transport.Shake(a, hello{name: string(make([]byte, 5000))}, true, time.Second)
	require.ErrorContains(t, err, "exceeds 4096")
	assert.Zero(t, a.givenBytes())
}

func TestCloseDuringTrafficEndsEveryCall(t *testing.T) {
	for _, who := range []string{"client", "server"} {
		t.Run(who, func(t *testing.T) {
			server := overTCP(t, handler{serve: func(c *transport.Call) { go c.Reply(0, c.Payload) }}, nil)
			addr := listen(t, server, transport.Calls)
			client := overTCP(t, handler{}, nil)
			var wg sync.WaitGroup
			var calls, casts atomic.Int32
			stop := make(chan struct{})
			for range 16 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if r, err := client.Peer(addr).Call(context.Background(),
							&transport.Request{Payload: make([]byte, 1000)}); err == nil {
							calls.Add(1)
							r.Release()
						} else if errors.Is(err, transport.ErrClosed) {
							return
						}
						if client.Peer(addr).Cast(context.Background(), &transport.Request{}) == nil {
							casts.Add(1)
						}
					}
				})
			}
			require.Eventually(t, func() bool { return calls.Load() > 500 }, 30*time.Second, time.Millisecond)
			closing := map[string]*transport.Transport{"client": client, "server": server}[who]
			var closers sync.WaitGroup
			for range 3 {
				closers.Go(func() { assert.NoError(t, closing.Close()) })
			}
			closers.Wait()
			close(stop)
			wg.Wait()
		})
	}
}

func TestCloseWritesWhatWasAnswered(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		var held []*transport.Call
		b := n.start(t, "b", handler{serve: func(c *transport.Call) { held = append(held, c) }}, nil)
		a := n.start(t, "a", handler{}, nil)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				r, err := a.Peer("b").Call(context.Background(), &transport.Request{})
				assert.NoError(t, err)
				assert.Len(t, r.Payload, 100<<10)
			})
		}
		synctest.Wait()
		for _, c := range held {
			c.Reply(0, make([]byte, 100<<10))
		}
		require.NoError(t, b.Close())
		wg.Wait()
	})
}

func TestCloseDoesNotWaitLongForAPeerThatDoesNotRead(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		b := n.start(t, "b", handler{serve: func(c *transport.Call) { c.Reply(0, make([]byte, 1<<20)) }}, nil)
		p := known(t, b, transport.Calls)
		strange(t, b, transport.Calls)
		p.send(rawCall(1, nil))
		synctest.Wait()
		start := time.Now()
		require.NoError(t, b.Close())
		assert.Equal(t, time.Second, time.Since(start))
		p.send(nil)
		strange(t, b, transport.Calls).requireEnded()
	})
}

func TestConfigNamesTheFieldThatMakesNoSense(t *testing.T) {
	good := transport.Config{Dial: newNetwork().dial, Handshake: hello{}, Handler: handler{}}
	for field, spoil := range map[string]func(*transport.Config){
		"Dial":             func(c *transport.Config) { c.Dial = nil },
		"Handshake":        func(c *transport.Config) { c.Handshake = nil },
		"Handler":          func(c *transport.Config) { c.Handler = nil },
		"MaxFrame":         func(c *transport.Config) { c.MaxFrame = 100 },
		"MaxOutput":        func(c *transport.Config) { c.MaxOutput = 4 << 20 },
		"MaxInflight":      func(c *transport.Config) { c.MaxInflight = -1 },
		"MaxStreams":       func(c *transport.Config) { c.MaxStreams = -1 },
		"WriteTimeout":     func(c *transport.Config) { c.WriteTimeout = -1 },
		"PingInterval":     func(c *transport.Config) { c.PingInterval = 1 },
		"DialTimeout":      func(c *transport.Config) { c.DialTimeout = -1 },
		"HandshakeTimeout": func(c *transport.Config) { c.HandshakeTimeout = -1 },
	} {
		cfg := good
		spoil(&cfg)
		_, err := transport.New(cfg)
		assert.ErrorContains(t, err, "transport: Config."+field+" is ")
	}
	tr, err := transport.New(good)
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	require.NoError(t, tr.Close())
}
