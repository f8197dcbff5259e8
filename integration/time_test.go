package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func (p place) startMayfly(t *testing.T) string {
	t.Helper()
	id := p.id(t)
	require.NoError(t, mayflies.Start(t.Context(), p.from, id, sessionproc.None{}))
	return id
}

// requireExpired waits until a mayfly has ended, and wants nothing left of it.
func requireExpired(t *testing.T, p place, id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		started, err := p.from.Started(t.Context(), id)
		return err == nil && !started
	}, 2*mayflyLife, 10*time.Millisecond)
	events.await(t, id, "ended "+string(sessionproc.ReasonExpired))
	require.ErrorIs(t, p.from.Touch(t.Context(), id), sessionproc.ErrNotFound)
	flutters := events.times(id, "flutters")
	time.Sleep(300 * time.Millisecond)
	require.Equal(t, flutters, events.times(id, "flutters"), "a timer outlives its session")
}

// The original counted from the start, whatever use there was.
func TestAcceptance28_UseAndTouchExtendTheIdleTime(t *testing.T) {
	eachPlaceAtOnce(t, func(t *testing.T, p place) {
		called, touched, left := p.startMayfly(t), p.startMayfly(t), p.startMayfly(t)
		begin := time.Now()
		moved := p.beginMove(t)
		for time.Since(begin) < mayflyIdle*8/5 {
			_, err := useMayfly.Call(t.Context(), p.from, called, sessionproc.None{})
			require.NoError(t, err)
			require.NoError(t, p.from.Touch(t.Context(), touched))
			time.Sleep(100 * time.Millisecond)
		}
		moved()
		requireExpired(t, p, left)
		require.Less(t, time.Since(begin), mayflyLife, "it was the idle time that ended it, after its timer had fired")
		requireExpired(t, p, touched)
		requireExpired(t, p, called)
	})
}

func TestAcceptance28_LifetimeEndsItInSpiteOfUse(t *testing.T) {
	eachPlaceAtOnce(t, func(t *testing.T, p place) {
		id := p.startMayfly(t)
		begin := time.Now()
		p.move(t)
		var err error
		for err == nil && time.Since(begin) < 3*mayflyLife {
			_, err = useMayfly.Call(t.Context(), p.from, id, sessionproc.None{})
			time.Sleep(50 * time.Millisecond)
		}
		require.Error(t, err)
		require.Greater(t, time.Since(begin), mayflyLife-time.Second)
		requireExpired(t, p, id)
	})
}

func TestAcceptance31_TimersFireRepeatAndAreCancelledAfterAMove(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, alarms.Start(t.Context(), p.from, id, sessionproc.None{}))
		_, err := setAlarms.Call(t.Context(), p.from, id, 100*time.Millisecond)
		require.NoError(t, err)
		p.move(t)
		events.await(t, id, "once")
		events.await(t, id, "at")
		for range 3 {
			events.await(t, id, "often")
		}
		for name, want := range map[string]bool{"often": true, "never": true, "once": false, "at": false} {
			was, err := calmAlarm.Call(t.Context(), p.from, id, name)
			require.NoError(t, err)
			require.Equal(t, want, was, name)
		}
		before, err := rang.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond)
		after, err := rang.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.LessOrEqual(t, after["often"], before["often"]+1, "one may have been in the mailbox")
		require.Equal(t, 1, after["once"])
		require.Equal(t, 1, after["at"])
		require.Zero(t, after["never"]+after["cancelled"])
	})
}
