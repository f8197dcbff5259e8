package integration_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestAcceptance32_ACrashedSessionRestartsWithinItsBudget(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id, other := p.id(t), p.id(t)
		for _, id := range []string{id, other} {
			require.NoError(t, phoenixes.Start(t.Context(), p.from, id, 5))
		}
		first, err := whichLife.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		burn := func() {
			_, err := addPhoenix.Call(t.Context(), p.from, id, -1)
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
		}
		burn()
		p.move(t)
		n, err := addPhoenix.Call(t.Context(), p.from, id, 2)
		require.NoError(t, err, "the next call is answered")
		require.Equal(t, 7, n, "nothing of the crashed handler is left")
		second, err := whichLife.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.NotEqual(t, first, second)
		burn()
		n, err = addPhoenix.Call(t.Context(), p.from, id, 1)
		require.NoError(t, err)
		require.Equal(t, 8, n)
		burn()
		_, err = addPhoenix.Call(t.Context(), p.from, id, 1)
		require.ErrorIs(t, err, sessionproc.ErrNotFound, "its budget, which travels with it, is used up")
		n, err = addPhoenix.Call(t.Context(), p.from, other, 1)
		require.NoError(t, err, "it ends alone")
		require.Equal(t, 6, n)
	})
}

func TestAcceptance30_TheMessageRateGivesARetryAfter(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, hasties.Start(t.Context(), p.from, id, sessionproc.None{}))
		p.move(t)
		var err error
		for n := 0; n < 1000 && err == nil; n++ {
			_, err = callHasty.Call(t.Context(), p.from, id, sessionproc.None{})
		}
		require.ErrorIs(t, err, sessionproc.ErrRateLimited)
		limit, ok := errors.AsType[*sessionproc.LimitError](err)
		require.True(t, ok)
		require.Equal(t, "KindConfig.MessageRate", limit.Limit)
		require.Positive(t, limit.RetryAfter)
		require.False(t, sessionproc.MaybeExecuted(err))
	})
}
