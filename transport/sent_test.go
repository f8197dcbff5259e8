package transport_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

// outcome of five calls: the first one's frame is in a write of its own, the
// others' in a second one, as they were made while the first was in progress.
func fiveCalls(t *testing.T, cut func(dialer, acceptor *memConn)) (errs [5]error, given, frame int) {
	onNetwork(t, func(t *testing.T, n *network) {
		var dialer, acceptor *memConn
		n.fault = func(a, b *memConn, _ transport.Class) { dialer, acceptor = a, b }
		n.start(t, "b", handler{}, nil)
		a := n.start(t, "a", handler{}, nil)
		_, err := a.Peer("b").Connect(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		dialer.cutAfter(-1)
		cut(dialer, acceptor)
		release := dialer.holdWrites()
		var ended [5]bool
		for i := range errs {
			go func() {
				_, errs[i] = a.Peer("b").Call(context.Background(), &transport.Request{ID: "id", Payload: make([]byte, 20)})
				ended[i] = true
			}()
			synctest.Wait()
			if i == 0 {
				frame = dialer.givenBytes()
			}
		}
		release()
		synctest.Wait() // no time passes: a call without an answer has failed at once
		require.Equal(t, [5]bool{true, true, true, true, true}, ended)
		given = dialer.givenBytes()
	})
	return errs, given, frame
}

func TestSentIsExactWhereverTheRequestsAreCut(t *testing.T) {
	_, all, frame := fiveCalls(t, func(_, _ *memConn) {})
	require.Equal(t, 5*frame, all)
	for n := range all + 2 {
		errs, given, _ := fiveCalls(t, func(dialer, _ *memConn) { dialer.cutAfter(n) })
		for i, err := range errs {
			if n >= all {
				require.NoError(t, err)
				continue
			}
			if err == nil { // answered before the cut
				require.GreaterOrEqual(t, n, (i+1)*frame)
				continue
			}
			require.ErrorContains(t, err, "connection lost")
			require.Equal(t, i*frame < given, transport.Sent(err),
				"cut after %d of %d bytes: call %d, %d bytes given", n, all, i, given)
		}
		if n < frame {
			require.Equal(t, frame, given, "nothing is given to a connection that has failed")
		}
	}
}

func TestEveryPendingCallEndsWhereverTheRepliesAreCut(t *testing.T) {
	const reply = 4 + 2 + 1 + 1 + 2 + 20
	for n := range 5*reply + 2 {
		errs, _, _ := fiveCalls(t, func(_, acceptor *memConn) { acceptor.cutAfter(n) })
		for i, err := range errs {
			if err == nil {
				assert.GreaterOrEqual(t, n, (i+1)*reply, "reply %d in %d bytes", i, n)
				continue
			}
			assert.True(t, transport.Sent(err), "the frame had left: %v", err)
			assert.Less(t, n, 5*reply)
		}
	}
}

func TestSentIsFalseForErrorsBeforeTheWrite(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		a := n.start(t, "a", handler{}, nil)
		_, err := a.Peer("nobody").Call(t.Context(), &transport.Request{})
		require.ErrorIs(t, err, errNobody)
		assert.False(t, transport.Sent(err))

		_, err = a.Peer("nobody").Call(t.Context(), &transport.Request{Payload: make([]byte, 4<<20)})
		require.ErrorContains(t, err, "exceeds Config.MaxFrame, 4194304 bytes")
		require.ErrorIs(t, err, transport.ErrRequest)
		assert.False(t, transport.Sent(err))

		_, err = a.Peer("nobody").Call(t.Context(), &transport.Request{Trace: make([]byte, 1025)})
		require.ErrorContains(t, err, "Trace of 1025 bytes exceeds 1024")
		require.ErrorIs(t, err, transport.ErrRequest)
		assert.False(t, transport.Sent(err))

		assert.True(t, transport.Sent(errors.New("anything else")))
		require.NoError(t, a.Close())
		_, err = a.Peer("nobody").Call(t.Context(), &transport.Request{})
		require.ErrorIs(t, err, transport.ErrClosed)
		assert.False(t, transport.Sent(err))
	})
}
