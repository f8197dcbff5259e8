package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A request or reply that is not of the type that its reader has is an error that names
// that type: msgpack speaks of codes only.
func TestDecodeErrorNamesTheType(t *testing.T) {
	ref := sessionproc.KindOf[sessionproc.None]("till")
	take := sessionproc.MethodOf[int, int](ref, "take")
	k := sessionproc.NewKind(ref, startsAs[counter], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, take, func(_ *counter, _ context.Context, n int) (int, error) { return n, nil })
	l := newLocal(t, k)
	require.NoError(t, ref.Start(t.Context(), l, "a", sessionproc.None{}))
	for _, c := range []struct {
		request, reply any
		is             error
		says           string
	}{
		{"one", nil, sessionproc.ErrBadRequest, ", where int is expected"},
		{1, new(string), sessionproc.ErrBadReply, ", reading into *string"},
		{1, 7, sessionproc.ErrBadReply, ", reading into int"},
	} {
		err := l.Deliver(t.Context(), "a", engine.Untyped(core.OpCall, "", "take", c.request, c.reply))
		require.ErrorIs(t, err, c.is)
		require.ErrorContains(t, err, c.says)
	}
}
