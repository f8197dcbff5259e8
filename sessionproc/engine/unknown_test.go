package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// What the table's release lacks it says, also where there is no such session; a
// message of another sort than the handler's starts nothing.
func TestUnknownMethodIsSaidOfAMissingSessionToo(t *testing.T) {
	ref := sessionproc.KindOf[sessionproc.None]("order")
	look := sessionproc.MethodOf[sessionproc.None, int](ref, "look")
	start := startsAs[counter, sessionproc.None]
	k := sessionproc.NewKind(ref, start, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, look, func(*counter, context.Context, sessionproc.None) (int, error) { return 1, nil },
		sessionproc.MethodConfig{StartOnCall: true})
	l := newLocalWith(t, func(c *engine.TableConfig) { c.DefaultKind = "order" }, k)
	later := sessionproc.KindOf[sessionproc.None]("order") // as a later release has it
	other := sessionproc.KindOf[sessionproc.None]("invoice")
	type request struct {
		op           core.Op
		kind, method string
	}
	for want, all := range map[error][]request{
		sessionproc.ErrUnknownKind: {{core.OpCall, "invoice", "look"}, {core.OpCast, "invoice", "look"},
			{core.OpSubscribe, "invoice", "look"}, {core.OpStart, "invoice", ""}},
		sessionproc.ErrUnknownMethod: {{core.OpCall, "order", "pay"}, {core.OpCast, "order", "look"},
			{core.OpSubscribe, "order", "look"}, {core.OpCall, "", "pay"}, {core.OpCast, "", "look"}},
	} {
		for _, r := range all {
			in := &engine.Inbound{Op: r.op, ID: "a", Kind: r.kind, Method: r.method, Payload: encoded(t, nil)}
			if r.op == core.OpSubscribe {
				in.Payload = []byte{0x94, 0, 0, 0, 0} // from the present value on
			}
			got := serve(t, l, in)
			require.ErrorIs(t, got.err, want, r)
			require.ErrorContains(t, got.err, "the owner's release has no ", r)
			require.False(t, got.maybe, r)
		}
	}
	_, err := sessionproc.MethodOf[sessionproc.None, int](later, "pay").Call(t.Context(), l, "a", sessionproc.None{})
	require.ErrorIs(t, err, sessionproc.ErrUnknownMethod)
	require.ErrorContains(t, err, `method "pay" of kind "order"`)
	err = sessionproc.NoticeOf[int](later, "ship").Cast(t.Context(), l, "a", 1)
	require.ErrorIs(t, err, sessionproc.ErrUnknownMethod)
	err = sessionproc.NoticeOf[int](other, "ship").Cast(t.Context(), l, "a", 1)
	require.ErrorIs(t, err, sessionproc.ErrUnknownKind)
	require.Zero(t, l.table.Len(), "nothing was started")

	n, err := look.Call(t.Context(), l, "a", sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
