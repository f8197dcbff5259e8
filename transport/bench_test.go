package transport_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

// sessions hands each request to a goroutine that is parked for its ID, as
// the goroutine that answers is hardly ever the connection's reader.
type sessions struct {
	in map[string]chan *transport.Call
}

func newSessions(b *testing.B, n int) sessions {
	s := sessions{in: make(map[string]chan *transport.Call, n)}
	for i := range n {
		in := make(chan *transport.Call, 16)
		s.in[sessionID(i)] = in
		go func() {
			for c := range in {
				if c.Cast {
					c.Ack()
				} else {
					c.Reply(0, c.Payload)
				}
			}
		}()
	}
	b.Cleanup(func() {
		for _, in := range s.in {
			close(in)
		}
	})
	return s
}

func sessionID(i int) string { return fmt.Sprintf("session-%024d", i) }

func (s sessions) Serve(c *transport.Call)       { s.in[string(c.ID)] <- c }
func (s sessions) Cancel(*transport.Call)        {}
func (s sessions) Why(*transport.Call) string    { return "" }
func (s sessions) ServeStream(*transport.Stream) {}

// overLoopback runs do b.N times in all, from so many goroutines, each with a ctx that has a deadline.
func overLoopback(b *testing.B, callers int, do func(ctx context.Context, p *transport.Peer, id string) error) {
	const ids = 1000
	addr := listen(b, overTCP(b, newSessions(b, ids), nil), transport.Calls)
	client := overTCP(b, handler{}, nil)
	peer := client.Peer(addr)
	_, err := peer.Connect(b.Context())
	require.NoError(b, err)
	names := make([]string, ids)
	for i := range names {
		names[i] = sessionID(i)
	}
	var wg sync.WaitGroup
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	for caller := range callers {
		ctx := within(b, 1<<40)
		wg.Go(func() {
			for i := caller; next.Add(1) <= int64(b.N); i += callers {
				if err := do(ctx, peer, names[i%ids]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func BenchmarkCall(b *testing.B) {
	for _, size := range []int{64, 4 << 10} {
		payload := make([]byte, size)
		for _, callers := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("%dB/%d", size, callers), func(b *testing.B) {
				overLoopback(b, callers, func(ctx context.Context, p *transport.Peer, id string) error {
					r, err := p.Call(ctx, &transport.Request{ID: id, Kind: "cart", Method: "add", Payload: payload})
					r.Release()
					return err
				})
			})
		}
	}
}

func BenchmarkCast(b *testing.B) {
	payload := make([]byte, 64)
	b.Run("64B/64", func(b *testing.B) {
		overLoopback(b, 64, func(ctx context.Context, p *transport.Peer, id string) error {
			return p.Cast(ctx, &transport.Request{ID: id, Kind: "cart", Method: "add", Payload: payload})
		})
	})
}
