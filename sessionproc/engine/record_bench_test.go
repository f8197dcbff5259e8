package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// BenchmarkRecord makes the whole record of a cart with some items.
func BenchmarkRecord(b *testing.B) {
	for _, items := range []int{3, 20, 200} {
		b.Run(fmt.Sprint(items, " items"), func(b *testing.B) {
			type cart struct{ Items map[string]int }
			carts := sessionproc.KindOf[int]("benchmarked")
			k := sessionproc.NewKind(carts, func(_ context.Context, n int) (*cart, error) {
				c := &cart{Items: map[string]int{}}
				for i := range n {
					c.Items[fmt.Sprint("article ", i)] = i
				}
				return c, nil
			}, sessionproc.KindConfig{})
			l, _ := newKept(b, 0, k)
			require.NoError(b, carts.Start(b.Context(), l, "a", items))
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
