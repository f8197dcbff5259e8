package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestEnsureOfAnotherKindIsErrWrongKind(t *testing.T) {
	l := newLocal(t, newCounters(), script{}.make())
	started, err := counters.Ensure(t.Context(), l, "a", 1)
	require.NoError(t, err)
	require.True(t, started)
	started, err = counters.Ensure(t.Context(), l, "a", 1)
	require.NoError(t, err)
	require.False(t, started)
	started, err = scripted.Ensure(t.Context(), l, "a", "")
	require.ErrorIs(t, err, sessionproc.ErrWrongKind)
	require.ErrorContains(t, err, `"counter"`)
	require.ErrorContains(t, err, `"scripted"`)
	require.False(t, started)
	require.ErrorIs(t, scripted.Start(t.Context(), l, "a", ""), sessionproc.ErrAlreadyStarted)
	_, err = do.Call(t.Context(), l, "a", "")
	require.ErrorIs(t, err, sessionproc.ErrWrongKind)
	require.ErrorIs(t, note.Cast(t.Context(), l, "a", ""), sessionproc.ErrWrongKind)
}

// A start function that itself ensures another session keeps its own errors
// apart from those of Ensure.
func TestEnsureKeepsErrorsOfTheStartFunctionApart(t *testing.T) {
	l := newScripted(t, script{start: func(context.Context, string) error { return sessionproc.ErrAlreadyStarted }})
	started, err := scripted.Ensure(t.Context(), l, "a", "")
	require.Error(t, err)
	require.False(t, started)
}
