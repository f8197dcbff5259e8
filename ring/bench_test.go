package ring_test

import (
	"fmt"
	"testing"

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
