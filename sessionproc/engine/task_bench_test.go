//go:build !race

package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A call costs the same while a task of its session runs.
func TestACallAllocatesAsMuchWhileATaskRuns(t *testing.T) {
	var allocs [2]float64
	for i, task := range []bool{false, true} {
		l := newBank(t, &bank{work: takes(time.Hour)})
		l.startBuyer(t, "ann")
		if task {
			require.NoError(t, l.buy(t, "ann", purchase{Name: "pay", Limit: time.Hour}))
		}
		allocs[i] = testing.AllocsPerRun(1000, func() {
			_, _ = desist.Call(context.Background(), l, "ann", "none")
		})
	}
	require.Equal(t, allocs[0], allocs[1])
}

func BenchmarkCallBesideATask(b *testing.B) {
	for name, tasks := range map[string]int{"without": 0, "one": 1, "sixteen": 16} {
		b.Run(name, func(b *testing.B) {
			l := newBank(b, &bank{work: takes(time.Hour)})
			l.startBuyer(b, "ann")
			for i := range tasks {
				require.NoError(b, l.buy(b, "ann", purchase{Name: string(rune('a' + i)), Limit: time.Hour}))
			}
			b.ReportAllocs()
			for b.Loop() {
				_, err := bought.Call(b.Context(), l, "ann", sessionproc.None{})
				require.NoError(b, err)
			}
		})
	}
}
