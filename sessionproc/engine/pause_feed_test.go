package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Watches and subscriptions of a node without quorum do not ask all the time whether it
// has one again: they are told. One in a second each, it was.
func TestFeedsRestDuringAPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := plainSharing(t)
		s.board(t, "watching", 0)
		s.board(t, "watched", 1)
		_, err := watch.Call(t.Context(), s, "watching", "watched")
		require.NoError(t, err)
		sub := subscribe(t, s, "watching", sessionproc.SubscribeOptions{})
		requireValues(t, sub, 0)
		s.table.Pause(sessionproc.ErrNoQuorum)
		time.Sleep(time.Minute) // their polls have been answered
		before := s.polls.Load()
		time.Sleep(10 * time.Minute)
		require.Less(t, s.polls.Load()-before, int64(2*60))
		s.table.Unpause()
		synctest.Wait()
		s.set(t, "watching", 2)
		requireValues(t, sub, 2)
		require.NoError(t, s.terminate(t.Context(), "watched"))
		synctest.Wait()
		got, err := reports.Call(t.Context(), s, "watching", sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []string{"watched terminated"}, got)
	})
}
