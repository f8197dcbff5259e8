package integration_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestAcceptance23_ReadOnlyCallsAnswer(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startCounter(t, 3)
		p.move(t)
		for range 3 {
			requireCount(t, p, id, 3)
		}
	})
}

func TestAcceptance23_NoTouchIsNoUse(t *testing.T) {
	eachPlaceAtOnce(t, func(t *testing.T, p place) {
		moved := p.beginMove(t)
		for !noTouchIsSeen(t, p) {
			t.Log("the machine is too busy to use a session often enough: once more")
		}
		moved()
	})
}

// noTouchIsSeen uses a session and looks at another one. It returns false if there was too
// long a pause between two uses.
func noTouchIsSeen(t *testing.T, p place) bool {
	used, peeked := p.id(t), p.id(t)
	for _, id := range []string{used, peeked} {
		require.NoError(t, idlers.Start(t.Context(), p.from, id, sessionproc.None{}))
	}
	gone, last := false, time.Now()
	for start := time.Now(); time.Since(start) < 4*idleTimeout; time.Sleep(idleTimeout / 20) {
		_, err := useIdler.Call(t.Context(), p.from, used, sessionproc.None{})
		if time.Since(last) > idleTimeout/2 {
			return false
		}
		require.NoError(t, err, "it is in use")
		last = time.Now()
		switch _, err := peekIdler.Call(t.Context(), p.from, peeked, sessionproc.None{}); {
		case errors.Is(err, sessionproc.ErrNotFound):
			gone = true
		case err != nil:
			require.NoError(t, err)
		default:
			require.False(t, gone, "it came back")
		}
	}
	require.True(t, gone, "looking at it does not keep it alive")
	return true
}

func TestAcceptance23_StartOnCallStartsWithTheZeroArgument(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		_, err := lookUp.Call(t.Context(), p.from, id, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrNotFound, "a method without it starts nothing")
		n, err := callUp.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, 10, n)

		id = p.id(t)
		require.NoError(t, castUp.Cast(t.Context(), p.from, id, sessionproc.None{}))
		require.NoError(t, castUp.Cast(t.Context(), p.from, id, sessionproc.None{}))
		p.move(t)
		n, err = lookUp.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, 12, n)

		id = p.id(t)
		require.NoError(t, volunteers.Start(t.Context(), p.from, id, 5))
		n, err = callUp.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, 15, n, "one that is there is not started again")
	})
}

func TestAcceptance23_StartOnCallHeedsTheLimit(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		ids := []string{p.id(t), p.id(t), p.id(t)}
		for _, id := range ids[:2] {
			_, err := callPair.Call(t.Context(), p.from, id, sessionproc.None{})
			require.NoError(t, err)
		}
		p.move(t)
		_, err := callPair.Call(t.Context(), p.from, ids[2], sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrTooManySessions)
		limit, ok := errors.AsType[*sessionproc.LimitError](err)
		require.True(t, ok)
		require.Equal(t, sessionproc.LimitError{Limit: "KindConfig.MaxSessions", Max: 2}, *limit)
		require.ErrorIs(t, pairs.Start(t.Context(), p.from, ids[2], sessionproc.None{}), sessionproc.ErrTooManySessions)
		require.ErrorIs(t, pairs.Start(t.Context(), p.from, ids[0], sessionproc.None{}), sessionproc.ErrAlreadyStarted,
			"the check for the session comes first")

		require.NoError(t, p.from.Terminate(t.Context(), ids[0]))
		_, err = callPair.Call(t.Context(), p.from, ids[2], sessionproc.None{})
		require.NoError(t, err, "its place is free")
		for _, id := range ids[1:] {
			require.NoError(t, p.from.Terminate(t.Context(), id))
		}
	})
}
