package main

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEntriesBehaveAsASet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		want, other := map[entry]bool{}, map[entry]bool{}
		var e, o entries
		for range 60 {
			en := entry{r.IntN(3), r.Uint64N(20) + 1}
			require.Equal(t, !want[en], e.add(en))
			want[en] = true
			en = entry{r.IntN(3), r.Uint64N(20) + 1}
			o.add(en)
			other[en] = true
		}
		requireEntries(t, want, e)
		for en := range other {
			want[en] = true
		}
		e.merge(o)
		requireEntries(t, want, e)
		requireEntries(t, other, o)
	}
}

func requireEntries(t *testing.T, want map[entry]bool, e entries) {
	t.Helper()
	require.EqualValues(t, len(want), e.size())
	for w := range 3 {
		for n := range uint64(22) {
			require.Equal(t, want[entry{w, n}], e.has(entry{w, n}))
		}
	}
	for i := 1; i < len(e); i++ { // neighbours are one span
		require.True(t, e[i-1].Writer < e[i].Writer || e[i-1].Last+1 < e[i].First)
	}
}
