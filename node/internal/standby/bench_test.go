package standby

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport"
)

const callPayload = 64 // bytes of a request and of a reply

// BenchmarkCall is a call from a client to an owner over loopback, without a standby, and with
// one that has to have a record of 600 bytes before the owner answers; beside the same with the
// least of code. It says nothing of handlers and of encoding. The figure that counts is the ratio
// between rounds of one run:
//
//	go test -run='^$' -bench=Call -benchtime=2s -count=5 ./node/internal/standby
func BenchmarkCall(b *testing.B) {
	for _, callers := range []int{64, 1} {
		for _, way := range []struct {
			name string
			call func(*testing.B, int) func(int)
		}{
			{"bare/alone", func(b *testing.B, n int) func(int) { return bareCalls(b, n, false, 600) }},
			{"bare/standby", func(b *testing.B, n int) func(int) { return bareCalls(b, n, true, 600) }},
			{"alone", func(b *testing.B, n int) func(int) { return ourCalls(b, n, false, 600) }},
			{"standby", func(b *testing.B, n int) func(int) { return ourCalls(b, n, true, 600) }},
		} {
			b.Run(fmt.Sprintf("%s/600B/%d", way.name, callers), func(b *testing.B) {
				run(b, callers, way.call(b, callers))
			})
		}
	}
}

// run makes b.N calls, by all callers together.
func run(b *testing.B, callers int, call func(int)) {
	for caller := range callers {
		call(caller) // connects
	}
	times := make([][]time.Duration, callers)
	var made atomic.Int64
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for caller := range callers {
		all.Go(func() {
			for made.Add(1) <= int64(b.N) {
				begun := time.Now()
				call(caller)
				times[caller] = append(times[caller], time.Since(begun))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	sorted := slices.Sorted(slices.Values(slices.Concat(times...)))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(sorted[len(sorted)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(sorted[len(sorted)*99/100].Microseconds()), "p99-µs")
}

// perSession returns channels of goroutines that call f for each token.
func perSession(b *testing.B, n int, f func(session int)) []chan struct{} {
	all := make([]chan struct{}, n)
	for i := range all {
		all[i] = make(chan struct{}, 1)
		go func() {
			for range all[i] {
				f(i)
			}
		}()
		b.Cleanup(func() { close(all[i]) })
	}
	return all
}

// server is a transport.Handler of an owner.
type server struct{ serve func(*transport.Call) }

func (s server) Serve(c *transport.Call)        { s.serve(c) }
func (server) Cancel(*transport.Call)           {}
func (server) Why(*transport.Call) string       { return "" }
func (server) ServeStream(st *transport.Stream) { <-st.Done() }

func overTCP(b *testing.B, name string, h transport.Handler) *transport.Transport {
	tr, err := transport.New(transport.Config{Handshake: hello(name), Handler: h,
		Dial: func(ctx context.Context, addr string, _ transport.Class) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}})
	require.NoError(b, err)
	b.Cleanup(func() { _ = tr.Close() })
	return tr
}

// accept serves one class of tr on a loopback port.
func accept(b *testing.B, tr *transport.Transport, class transport.Class) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tr.Accept(conn, class)
		}
	}()
	return l.Addr().String()
}

// ourCalls is like bareCalls, with transport, Speaker, Listener and Table.
func ourCalls(b *testing.B, callers int, replicated bool, size int) func(caller int) {
	table := NewTable(1021, math.MaxInt64, covers)
	l := NewListener(ListenerConfig{Self: listening, Partitions: 1021, MaxRecord: 1 << 20,
		Decide: func(h *Heard) (ownership.Verdict, uint64) { return store(table, h), 0 }})
	keeper := overTCP(b, listening, noCalls(func(st *transport.Stream) { _ = l.Serve(context.Background(), st) }))
	keeperAddr := accept(b, keeper, transport.Standby)

	calls := make([]*transport.Call, callers) // a session has one call at a time
	reply := make([]byte, callPayload)
	var sessions []chan struct{}
	owner := overTCP(b, speaking, server{func(c *transport.Call) {
		n, _ := strconv.Atoi(string(c.ID))
		calls[n] = c
		sessions[n] <- struct{}{}
	}})
	s, err := NewSpeaker(context.Background(), SpeakerConfig{Self: speaking, Log: slog.New(slog.DiscardHandler),
		Open: func(ctx context.Context, _ string, header []byte) (*transport.Stream, error) {
			return owner.Peer(keeperAddr).OpenStandby(ctx, header)
		},
		Answered: func(list []Answer) {
			for _, a := range list {
				if a.Verdict != ownership.Taken {
					b.Error(a.Verdict)
				}
				calls[a.Partition].Reply(0, reply)
			}
		},
		Broken: func(string) {}, Room: func(string) {}})
	require.NoError(b, err)
	b.Cleanup(s.End)
	names := make([]string, callers)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	record := Record{Kind: "cart", Version: version(1), Body: make([]byte, size)}
	sessions = perSession(b, callers, func(n int) {
		if !replicated {
			calls[n].Reply(0, reply)
			return
		}
		say := ownership.Say{What: ownership.ToKeep, To: listening, Hold: []string{listening}}
		if err := s.Say(n, names[n], say, record); err != nil {
			b.Error(err)
		}
	})
	peer := overTCP(b, "client/1", noCalls(nil)).Peer(accept(b, owner, transport.Calls))
	payload := make([]byte, callPayload)
	return func(caller int) {
		r, err := peer.Call(context.Background(), &transport.Request{ID: names[caller], Payload: payload})
		if err != nil {
			b.Error(err)
			return
		}
		r.Release()
	}
}
