package transport

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbersBehaveAsAMap(t *testing.T) {
	var table numbers[int]
	model := map[uint64]*int{}
	next := uint64(0)
	number := func() uint64 {
		switch rand.N(4) {
		case 0: // strides, as when every 1024th call is slow
			return uint64(1+rand.N(2000)) << 10
		case 1:
			return uint64(1 + rand.N(50))
		default:
			next++
			return next
		}
	}
	for step := range 40_000 {
		n := number()
		if grow := step/4_000%2 == 0; rand.N(4) == 0 == grow && len(model) > 0 {
			for n = range model {
				break
			}
		}
		require.Same(t, model[n], table.get(n))
		if model[n] != nil {
			require.False(t, table.put(n, new(int)))
			require.Same(t, model[n], table.remove(n))
			delete(model, n)
		} else {
			require.Nil(t, table.remove(n))
			model[n] = new(int)
			require.True(t, table.put(n, model[n]))
		}
		if step%1000 == 0 {
			table.trim()
		}
		require.Equal(t, len(model), table.n)
	}
	for _, v := range table.all() {
		require.NotNil(t, v)
	}
	require.Len(t, table.all(), len(model))
	for n, v := range model {
		require.Same(t, v, table.remove(n))
	}
	require.Empty(t, table.all())
	require.False(t, table.put(0, new(int)), "0 is no number")
	require.Nil(t, table.get(0))
	for range 20 {
		table.trim()
	}
	require.Len(t, table.slots, leastNumbers)
}
