package transport_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

// refusing makes dials to nobody be refused by the host, and counts the calls of Refused.
func refusing(n *network, told *[]string) func(*transport.Config) {
	return func(cfg *transport.Config) {
		cfg.Dial = func(ctx context.Context, addr string, class transport.Class) (net.Conn, error) {
			nc, err := n.dial(ctx, addr, class)
			if err != nil {
				err = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
			}
			return nc, err
		}
		cfg.Refused = func(addr string) { *told = append(*told, addr) }
	}
}

// Nobody calls a peer that has died, and it is found out all the same.
func TestRefusedIsToldWhenAPeerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		defer n.stop()
		var told []string
		b := n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, refusing(n, &told))
		_, err := a.Peer("b").Connect(t.Context())
		require.NoError(t, err)
		n.mu.Lock()
		delete(n.nodes, "b")
		n.mu.Unlock()
		require.NoError(t, b.Close())
		synctest.Wait()
		require.Equal(t, []string{"b"}, told)
		require.Equal(t, 2, n.dialed())

		_, err = a.Peer("b").Connect(t.Context())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Equal(t, []string{"b", "b"}, told, "each dial")
		time.Sleep(time.Minute)
		require.Equal(t, 3, n.dialed(), "only a connection that ends is dialled again by itself")
	})
}

// It is dialled again, and answers.
func TestRefusedIsNotToldOfAPeerThatListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		defer n.stop()
		var told []string
		b := n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, refusing(n, &told))
		_, err := a.Peer("b").Connect(t.Context())
		require.NoError(t, err)
		n.start(t, "b", handler{}, nil)
		require.NoError(t, b.Close())
		synctest.Wait()
		require.Equal(t, 2, n.dialed())
		a.Forget("b")
		synctest.Wait()
		require.Equal(t, 2, n.dialed(), "a connection that this side ends is not dialled again")
		require.Empty(t, told)
	})
}

// A peer that ends every connection is not dialled without end.
func TestAPeerThatEndsEachConnectionIsDialledAgainOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		defer n.stop()
		n.fault = func(_, acceptor *memConn, _ transport.Class) {
			time.AfterFunc(10*time.Millisecond, func() { _ = acceptor.Close() })
		}
		var told []string
		n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, refusing(n, &told))
		for round := 1; round <= 3; round++ {
			_, err := a.Peer("b").Connect(t.Context())
			require.NoError(t, err)
			time.Sleep(time.Minute)
			require.Equal(t, 2*round, n.dialed())
		}
	})
}
