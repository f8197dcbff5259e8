package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A recordAnswer gets the outcome of a request.
type recordAnswer chan error

func (a recordAnswer) Reply([]byte, bool)        { a <- nil }
func (a recordAnswer) Ack()                      { a <- nil }
func (a recordAnswer) Fail(err error, _, _ bool) { a <- err }

// BenchmarkRecord makes the whole record of a cart with some items, and with replies to calls that other
// nodes may make again: one of a caller by itself, many of a hot session.
func BenchmarkRecord(b *testing.B) {
	for _, of := range []struct{ items, replies int }{{3, 0}, {3, 1}, {3, 64}, {20, 0}, {200, 0}} {
		items := of.items
		b.Run(fmt.Sprintf("%d items, %d replies", items, of.replies), func(b *testing.B) {
			type cart struct{ Items map[string]int }
			carts := sessionproc.KindOf[int]("benchmarked")
			k := sessionproc.NewKind(carts, func(_ context.Context, n int) (*cart, error) {
				c := &cart{Items: map[string]int{}}
				for i := range n {
					c.Items[fmt.Sprint("article ", i)] = i
				}
				return c, nil
			}, sessionproc.KindConfig{Replicas: 1})
			sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](carts, "count"),
				func(c *cart, _ context.Context, _ int) (int, error) { return len(c.Items), nil })
			l, _ := newKept(b, 0, k)
			require.NoError(b, carts.Start(b.Context(), l, "a", items))
			for i := range of.replies {
				key := engine.NumberedKey([6]byte{1, 2, 3, 4, 5, 6}, 3, 1e6+uint64(i))
				once := &engine.Once{Key: key, Root: key, Low: 1e6}
				answered := make(recordAnswer, 1)
				in := &engine.Inbound{Op: core.OpCall, ID: "a", Method: "count", Payload: []byte{1}, Answer: answered}
				require.NoError(b, in.ParseOnce(engine.AppendOnce(nil, once, 0)))
				l.table.Serve(part("a"), in)
				require.NoError(b, <-answered)
			}
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if size, err = l.table.EncodeRecord(part("a"), "a"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
