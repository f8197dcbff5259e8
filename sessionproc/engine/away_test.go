package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// hurry is a Gate at which whoever looks for a session finds it, just before it
// moves on to another node.
type hurry struct {
	t        *testing.T
	at       *local
	snapshot []byte
}

func (h *hurry) Settled(int, string) bool { return true }

func (h *hurry) Enter(part int, id string, e engine.Entry) error {
	require.NoError(h.t, land(h.at, id, h.snapshot))
	e.Begin()
	_, err := take(h.t, h.at, id)
	require.NoError(h.t, err)
	h.at.table.Forget(part, id, nil)()
	return nil
}

func (h *hurry) Leave(_ int, _ string, remove func()) { remove() }

// TestRequestToASessionThatMovesOnIsNotNotFound: it is not missing.
func TestRequestToASessionThatMovesOnIsNotNotFound(t *testing.T) {
	from := newScripted(t, script{})
	from.start(t, "a")
	b, err := take(t, from, "a")
	require.NoError(t, err)
	from.table.Forget(part("a"), "a", nil)()

	h := &hurry{t: t, snapshot: b}
	h.at = newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Gate, cfg.Moving = h, errAway }, script{}.make())
	var started bool
	_, called := do.Call(t.Context(), h.at, "a", "")
	for what, err := range map[string]error{
		"call":      called,
		"cast":      note.Cast(t.Context(), h.at, "a", ""),
		"start":     scripted.Start(t.Context(), h.at, "a", ""),
		"started":   h.at.Deliver(t.Context(), "a", engine.Untyped(core.OpStarted, "", "", nil, &started)),
		"touch":     h.at.Deliver(t.Context(), "a", engine.Untyped(core.OpTouch, "", "", nil, nil)),
		"terminate": h.at.Deliver(t.Context(), "a", engine.Untyped(core.OpTerminate, "", "", nil, nil)),
		"renew":     h.at.Deliver(t.Context(), "a", engine.Untyped(core.OpRenew, "", "", "b", nil)),
	} {
		require.ErrorIs(t, err, errAway, what)
		require.False(t, sessionproc.MaybeExecuted(err), what)
	}
	require.False(t, started)
}
