package handover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// What is lost is made at once, whatever has come before; what moves keeps the pace. Nothing waits twice.
func TestLostStandbysAreMadeAtOnceAndOthersInTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := repair{wake: make(chan struct{}, 1), pace: bulk{rate: 100, gathers: repairBeat, within: time.Hour}}
		for range 1000 {
			rep := new(replicated)
			r.add(rep, true)
			r.add(rep, true)
		}
		lost := map[*replicated]bool{}
		for range 2 * turnsAtOnce {
			rep := new(replicated)
			lost[rep] = true
			r.add(rep, false)
			r.add(rep, false)
		}
		require.Len(t, r.wake, 1)
		for len(lost) > 0 {
			due, wait := r.next()
			require.Len(t, due, turnsAtOnce)
			require.EqualValues(t, 1, wait)
			for _, rep := range due {
				require.True(t, lost[rep])
				delete(lost, rep)
			}
		}
		moved := 0
		for begun := time.Now(); time.Since(begun) < 5*time.Second; {
			due, wait := r.next()
			moved += len(due)
			time.Sleep(wait)
		}
		require.InDelta(t, 500, moved, 25)
		for len(r.moved) > 0 {
			_, wait := r.next()
			time.Sleep(wait)
		}
		due, wait := r.next()
		require.Empty(t, due)
		require.Zero(t, wait, "until there is more")
	})
}

// A session that has standbys counts as more: they are made anew. The hand-over is done in time all the same.
func TestSessionsWithStandbysMoveMoreSlowlyUnlessTimeIsShort(t *testing.T) {
	moved := func(within time.Duration, standbys int) (n int) {
		synctest.Test(t, func(t *testing.T) {
			b := bulk{rate: 100, gathers: longestBeat, within: within}
			b.begin()
			left := 10_000
			for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(max(b.wait(), time.Millisecond)) {
				due, _ := b.due(time.Now(), func() (int, int) { return left, 0 })
				for range min(due, left) {
					b.spend(standbys)
					left--
				}
			}
			n = 10_000 - left
		})
		return n
	}
	require.InDelta(t, 1000, moved(time.Hour, 0), 50)
	require.InDelta(t, 500, moved(time.Hour, 1), 50)
	require.InDelta(t, 333, moved(time.Hour, 2), 50)
	require.Equal(t, 10_000, moved(9*time.Second, 2))
}
