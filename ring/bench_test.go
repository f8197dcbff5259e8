package ring_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/ring"
)

func BenchmarkOwnerOf(b *testing.B) {
	r := newRing(b, ring.Config{}, slots(10, "web-%d:7946")...)
	b.ReportAllocs()
	for b.Loop() {
		r.OwnerOf("b2f5ff47436671b6e533d8dc3614845d")
	}
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{3, 10, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			members := slots(n, "web-%d:7946")
			b.ReportAllocs()
			for b.Loop() {
				newRing(b, ring.Config{}, members...)
			}
		})
	}
}

// One member of 200 comes and goes.
func BenchmarkBuilder(b *testing.B) {
	all := slots(200, "web-%d:7946")
	builder, err := ring.NewBuilder(ring.Config{})
	require.NoError(b, err)
	_, err = builder.Ring(all)
	require.NoError(b, err)
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		_, err := builder.Ring(all[i%2:])
		require.NoError(b, err)
	}
}
