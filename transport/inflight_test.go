package transport

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Big requests that are refused again and again leave the room to small ones.
func TestRefusedRequestsTakeNoRoom(t *testing.T) {
	var f inflight
	var over atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !over.Load() {
				if f.reserve(1001, 1000) {
					panic("too much was reserved")
				}
			}
		})
	}
	refused := 0
	for range 100_000 {
		if f.reserve(10, 1000) {
			f.Add(-10)
		} else {
			refused++
		}
	}
	over.Store(true)
	wg.Wait()
	require.Zero(t, refused)
	require.Zero(t, f.Load())
	require.True(t, f.reserve(5, math.MaxInt64))
	require.True(t, f.reserve(5, math.MaxInt64), "no sum overflows")
}
