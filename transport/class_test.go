package transport_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

func TestEachClassHasAConnectionOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		defer n.stop()
		var mu sync.Mutex
		ends := map[transport.Class]*memConn{}
		n.fault = func(dialer, _ *memConn, class transport.Class) {
			mu.Lock()
			defer mu.Unlock()
			ends[class] = dialer
		}
		n.start(t, "b", handler{stream: func(s *transport.Stream) {
			_ = s.Send(context.Background(), []byte(s.Class().String()))
			<-s.Done()
		}}, nil)
		peer := n.start(t, "a", handler{}, nil).Peer("b")
		ctx := t.Context()
		bulk, err := peer.Open(ctx, nil)
		require.NoError(t, err)
		standby, err := peer.OpenStandby(ctx, nil)
		require.NoError(t, err)
		_, err = peer.Call(ctx, &transport.Request{})
		require.NoError(t, err)
		require.Equal(t, 3, n.dialed())
		for want, s := range map[transport.Class]*transport.Stream{transport.Bulk: bulk, transport.Standby: standby} {
			require.Equal(t, want, s.Class())
			got, err := s.Recv(ctx)
			require.NoError(t, err)
			require.Equal(t, want.String(), string(got))
		}
		mu.Lock()
		lost := ends[transport.Bulk]
		mu.Unlock()
		_ = lost.Close()
		<-bulk.Done()
		synctest.Wait()
		require.NoError(t, standby.Err())
		n.nodes["a"].Forget("b")
		<-standby.Done()
		assert.ErrorIs(t, standby.Err(), transport.ErrClosed)
	})
}

func TestACallOnAConnectionOfStreamsEndsIt(t *testing.T) {
	for _, class := range []transport.Class{transport.Bulk, transport.Standby} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork()
			defer n.stop()
			tr := n.start(t, "b", handler{serve: func(*transport.Call) { t.Error("served") }}, nil)
			p := known(t, tr, class)
			_, _ = p.Write(rawCall(1, nil))
			p.requireEnded()
		})
	}
}
