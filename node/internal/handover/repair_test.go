package handover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// What is lost is made as the members answer, whatever has come before, and keeps the pace if they do not; what moves
// keeps it then. Nothing waits twice.
func TestLostStandbysAreMadeAsMembersAnswerAndOthersInTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := repair{wake: make(chan struct{}, 1), pace: bulk{rate: 100, gathers: repairBeat, within: time.Hour}}
		for range 1000 {
			rep := new(replicated)
			r.add(rep, true)
			r.add(rep, true)
		}
		lost := map[*replicated]bool{}
		for range 500 + 2*turnsAtOnce + 10 {
			rep := new(replicated)
			lost[rep] = true
			r.add(rep, false)
			r.add(rep, false)
		}
		require.Len(t, r.wake, 1)
		for _, room := range []int{10, repairWindow, repairWindow} {
			due, wait := r.next(room)
			require.Len(t, due, min(room, turnsAtOnce))
			require.Equal(t, repairPause, wait)
			for _, rep := range due {
				require.True(t, lost[rep])
				delete(lost, rep)
			}
		}
		paced := func(within time.Duration) (all []*replicated) {
			for begun := time.Now(); time.Since(begun) < within; {
				due, wait := r.next(0)
				all = append(all, due...)
				require.True(t, len(r.lost) == 0 || wait <= repairPause, "room is looked for soon")
				time.Sleep(wait)
			}
			return all
		}
		late := paced(4900 * time.Millisecond)
		require.InDelta(t, 490, len(late), 25)
		for _, rep := range late {
			require.True(t, lost[rep])
			delete(lost, rep)
		}
		late = paced(5 * time.Second)
		require.InDelta(t, 500, len(late), 25)
		require.True(t, lost[late[0]])
		require.False(t, lost[late[len(late)-1]])
		for len(r.moved) > 0 {
			_, wait := r.next(repairWindow)
			time.Sleep(wait)
		}
		due, wait := r.next(repairWindow)
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
