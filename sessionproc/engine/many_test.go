package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// plainCaller has nothing but Deliver, as a fake that a user wrote.
type plainCaller struct{ l *local }

func (p plainCaller) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	return p.l.Deliver(ctx, id, m)
}

func TestCallerWithDeliverAloneStartsMany(t *testing.T) {
	c := plainCaller{newScripted(t, script{})}
	require.Nil(t, scripted.StartMany(t.Context(), c, map[string]string{"a": "", "b": ""}))
	failed := scripted.StartMany(t.Context(), c, map[string]string{"a": "", "c": ""})
	require.Len(t, failed, 1)
	require.ErrorIs(t, failed["a"], sessionproc.ErrAlreadyStarted)
	require.True(t, c.l.started(t, "c"))

	_, err := note.Broadcast(t.Context(), c, "x")
	require.ErrorIs(t, err, sessionproc.ErrUnsupported)
	require.ErrorContains(t, err, "broadcast scripted.note: ")
	require.ErrorContains(t, err, "plainCaller cannot broadcast")
}
