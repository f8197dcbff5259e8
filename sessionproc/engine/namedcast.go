package engine

import "github.com/sessionproc/sessionproc/sessionproc/internal/core"

// namedCast is the message of a cast that came encoded.
type namedCast struct {
	core.Envelope
	bound   *core.Binding
	raw     bool
	payload []byte
}

func newNamedCast(b *core.Binding, raw bool, payload []byte) *namedCast {
	m := &namedCast{bound: b, raw: raw, payload: payload}
	m.Task, m.Size, m.NoUse, m.ReadOnly = m, core.MailSize(len(payload)), b.Settings.NoTouch, b.Settings.ReadOnly
	return m
}

// Run implements core.Task.
func (m *namedCast) Run(h *core.Head, ctx *core.Ctx) error {
	_, _, err := m.bound.Serve(h.State, ctx, m.payload, m.raw, nil)
	if err != nil {
		processOf(h).logger().Warn("a cast failed", "method", m.bound.Name, "err", err)
	}
	return err
}

// Drop implements core.Task: nobody waits for a cast.
func (m *namedCast) Drop(uint64, core.Outcome) {}
