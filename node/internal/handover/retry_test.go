package handover

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// Members are asked the more rarely about sessions that stay there the more they are, but
// not for long; a few are asked about at once, and whatever else is to be said is said.
func TestManySessionsThatStayAreAskedAboutLessOften(t *testing.T) {
	for sessions, often := range map[int]int{1: 40, pollFew - 1: 40, 10 * pollFew: 4, 1000: 2, 100_000: 2} {
		t.Run(fmt.Sprint(sessions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := New(Env{Parent: t.Context(), Partitions: 1})
				d.m = ownership.New("a", 1)
				both := []ownership.Seen{{Name: "a", Level: ownership.Serving}, {Name: "b", Level: ownership.Draining}}
				d.m.Bootstrap()
				d.m.View(ownership.View{Members: both, Owners: []string{"a"}})
				kept := make([]ownership.Kept, sessions)
				for i := range kept {
					kept[i].Session = fmt.Sprintf("%08d", i)
				}
				require.True(t, d.mayPollLocked(0, time.Now()), "the claim is said again")
				d.m.Receive("b", ownership.Message{Kind: ownership.Done, ID: 1, Kept: kept})
				asked := 0
				for range 40 {
					if d.mayPollLocked(0, time.Now()) {
						asked++
					}
					time.Sleep(lastRetry)
				}
				require.Equal(t, often, asked)
			})
		})
	}
}

// A dead member is gone when TakeoverDelay is over, however long nothing has happened.
func TestDeadMemberIsGoneOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRig(t)
		d.env.TakeoverDelay = 10_123 * time.Millisecond
		d.mu.Lock()
		d.former = map[string]former{"other": {level: ownership.Dead, since: time.Now()}}
		d.mu.Unlock()
		d.life.Go(d.retry)
		gone := func() bool {
			d.mu.RLock()
			defer d.mu.RUnlock()
			return d.former["other"].level == ownership.Gone
		}
		time.Sleep(d.env.TakeoverDelay - time.Millisecond)
		synctest.Wait()
		require.False(t, gone())
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		require.True(t, gone())
	})
}
