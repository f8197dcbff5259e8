package transport_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

// standby opens a stream of class Standby, over TCP, and returns both ends. What the far end's handler returns with is
// sent to ended.
func standby(t *testing.T, serve func(*transport.Stream)) *transport.Stream {
	t.Helper()
	addr := listen(t, overTCP(t, handler{stream: serve}, nil), transport.Standby)
	near, err := overTCP(t, handler{}, nil).Peer(addr).OpenStandby(within(t, 20*time.Second), nil)
	require.NoError(t, err)
	return near
}

// What came before Each and what comes after it is handed over in order; what is sent back arrives in order, too.
func TestEachHandsOverChunksInOrder(t *testing.T) {
	const chunks = 50_000 // beyond the window
	ended := make(chan error, 1)
	near := standby(t, func(s *transport.Stream) {
		time.Sleep(10 * time.Millisecond) // some wait in the queue
		next := uint32(0)
		ended <- s.Each(t.Context(), func(chunk []byte) error {
			if !assert.Equal(t, next, binary.BigEndian.Uint32(chunk)) {
				return errors.New("out of order")
			}
			next++
			return s.Answer(chunk)
		})
	})
	go func() {
		var b [1000]byte
		for i := range uint32(chunks) {
			binary.BigEndian.PutUint32(b[:], i)
			if !assert.NoError(t, near.Send(t.Context(), b[:])) {
				return
			}
		}
	}()
	back := uint32(0)
	err := near.Each(t.Context(), func(chunk []byte) error {
		if !assert.Equal(t, back, binary.BigEndian.Uint32(chunk)) {
			return errors.New("out of order")
		}
		if back++; back == chunks {
			return near.CloseSend()
		}
		return nil
	})
	require.Equal(t, io.EOF, <-ended, "the near end has sent all")
	require.Error(t, err)
	require.EqualValues(t, chunks, back)
}

func TestEachEndsWithTheErrorOfItsFunction(t *testing.T) {
	ended := make(chan error, 1)
	refused := errors.New("refused")
	calls := 0
	near := standby(t, func(s *transport.Stream) {
		ended <- s.Each(t.Context(), func([]byte) error {
			calls++
			return refused
		})
	})
	for near.Send(t.Context(), []byte("chunk")) == nil {
	}
	require.Equal(t, refused, <-ended)
	require.Equal(t, 1, calls)
	<-near.Done()
	require.ErrorContains(t, near.Err(), "refused", "the peer is told why")
}

// Each returns only when its function does not run any more, and nothing is handed over afterwards.
func TestEachEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	running, returned := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	near := standby(t, func(s *transport.Stream) {
		ended <- s.Each(ctx, func([]byte) error {
			close(running) // panics the second time
			time.Sleep(50 * time.Millisecond)
			close(returned)
			return nil
		})
	})
	require.NoError(t, near.Send(t.Context(), []byte("one")))
	<-running
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	select {
	case <-returned:
	default:
		require.Fail(t, "the function still runs")
	}
	<-near.Done()
}

// A stalled peer does not hold up who closes the stream: the sender's write ends, too.
func TestCloseEndsAWriteToAPeerThatDoesNotRead(t *testing.T) {
	for name, end := range map[string]func(s *transport.Stream, cancel func()){
		"close": func(s *transport.Stream, _ func()) { s.Close("enough") },
		"ctx":   func(_ *transport.Stream, cancel func()) { cancel() }, // Each closes
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(within(t, 20*time.Second))
			defer cancel()
			near, far := net.Pipe() // has no buffer
			tr := overTCP(t, handler{}, func(cfg *transport.Config) {
				cfg.Dial = func(context.Context, string, transport.Class) (net.Conn, error) { return near, nil }
				cfg.WriteTimeout, cfg.PingInterval = time.Hour, time.Hour
			})
			over := make(chan struct{})
			defer close(over)
			overTCP(t, handler{stream: func(s *transport.Stream) {
				_ = s.Each(context.Background(), func([]byte) error { <-over; return nil })
			}}, nil).Accept(far, transport.Standby)
			s, err := tr.Peer("far").OpenStandby(ctx, nil)
			require.NoError(t, err)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for s.Send(context.WithoutCancel(ctx), make([]byte, 10_000)) == nil {
				}
			}()
			taken := make(chan error, 1)
			go func() { taken <- s.Each(ctx, func([]byte) error { return nil }) }()
			select {
			case <-sent:
				require.Fail(t, "the sender is to wait")
			case <-time.After(200 * time.Millisecond):
			}
			end(s, cancel)
			<-sent
			require.Error(t, <-taken)
		})
	}
}

// Answers do not wait for who does not take them: they are kept, and follow when there is credit.
func TestAnswersBeyondTheCreditFollowOrAreTooMany(t *testing.T) {
	const size, window = 1000, 1 << 20
	for name, c := range map[string]struct {
		answers int
		fails   bool
	}{"follow": {3 * window / 2 / size, false}, "too many": {3 * window / size, true}} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			answered := make(chan struct{})
			near := standby(t, func(s *transport.Stream) {
				ended <- s.Each(t.Context(), func([]byte) error {
					defer close(answered)
					for i := range uint32(c.answers) {
						if err := s.Answer(binary.BigEndian.AppendUint32(make([]byte, size), i)); err != nil {
							return err
						}
					}
					return nil
				})
			})
			require.NoError(t, near.Send(t.Context(), []byte("question")))
			<-answered
			for i := range c.answers {
				chunk, err := near.Recv(t.Context())
				if c.fails && err != nil {
					break
				}
				require.NoError(t, err)
				require.EqualValues(t, i, binary.BigEndian.Uint32(chunk[size:]))
			}
			if c.fails {
				require.ErrorContains(t, <-ended, "does not take")
				return
			}
			near.Close("done")
			require.Error(t, <-ended)
		})
	}
}
