package transport_test

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

// retiring is a node a that calls a node b, which keeps the calls of "slow".
type retiring struct {
	*network
	a         *transport.Transport
	dialled   chan net.Conn
	slow      chan *transport.Call
	cancelled atomic.Int32
}

func newRetiring(t *testing.T) *retiring {
	r := &retiring{network: newNetwork(), dialled: make(chan net.Conn, 8), slow: make(chan *transport.Call, 8)}
	r.fault = func(dialer, _ *memConn, _ transport.Class) { r.dialled <- dialer }
	r.start(t, "b", handler{
		serve: func(c *transport.Call) {
			if string(c.ID) == "slow" {
				r.slow <- c
			} else {
				c.Reply(0, nil)
			}
		},
		cancel: func(*transport.Call) { r.cancelled.Add(1) },
	}, nil)
	r.a = r.start(t, "a", handler{}, nil)
	return r
}

func (r *retiring) call(t *testing.T, id string) error {
	_, err := r.a.Peer("b").Call(t.Context(), &transport.Request{ID: id})
	return err
}

// retire has a retire the connection that it has dialled last.
func (r *retiring) retire() {
	old := <-r.dialled
	r.a.Retire(func(c net.Conn) bool { return c == old }, 10*time.Second)
}

func TestARetiredConnectionFinishesItsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetiring(t)
		defer r.stop()
		done := make(chan error, 1)
		go func() { done <- r.call(t, "slow") }()
		c := <-r.slow
		r.retire()
		require.NoError(t, r.call(t, ""))
		require.Equal(t, 2, r.dialed())
		time.Sleep(9 * time.Second)
		c.Reply(0, nil)
		require.NoError(t, <-done)
		time.Sleep(time.Minute)
		require.NoError(t, r.call(t, ""))
		require.Equal(t, 2, r.dialed(), "the new one stays")
	})
}

func TestRetiredConnectionEndsWhenIdleOrAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetiring(t)
		defer r.stop()
		require.NoError(t, r.call(t, ""))
		r.retire() // nothing is under way: at once
		require.NoError(t, r.call(t, ""))
		require.Equal(t, 2, r.dialed())

		done := make(chan error, 1)
		go func() { done <- r.call(t, "slow") }()
		c := <-r.slow
		begin := time.Now()
		r.retire()
		err := <-done
		require.ErrorContains(t, err, "connection retired")
		require.True(t, transport.Sent(err))
		require.Equal(t, 10*time.Second, time.Since(begin))
		synctest.Wait()
		require.EqualValues(t, 1, r.cancelled.Load(), "the handler is told")
		c.Reply(0, nil)
		require.NoError(t, r.call(t, ""))
		require.Equal(t, 3, r.dialed())
	})
}
