package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A stateCopy is the state of a session, or of another copy of it.
type stateCopy struct {
	kind    *core.Kind
	state   any         // nil if there is none
	arrives arrivalNote // 0 if the state has arrived
}

// stateOf returns the state of p. It is called in the goroutine of p, or for a copy that is in no
// table.
func stateOf(p *process) stateCopy {
	if p.quarantinedLocked() {
		return stateCopy{kind: p.Kind}
	}
	c := stateCopy{kind: p.Kind, state: p.State}
	if p.ext != nil {
		c.arrives = p.ext.arrives
	}
	return c
}

// callOnEnd calls the OnEnd of a state that does not continue, if its kind has one. A state that
// has not arrived arrives first. If that fails, callOnEnd returns the error and does not call
// OnEnd.
func (p *process) callOnEnd(c stateCopy, reason sessionproc.Reason) error {
	if c.state == nil || c.kind.Hooks.End == nil {
		return nil
	}
	h := &core.Ctx{Head: &p.Head, Until: int64(time.Since(core.Epoch) + p.table().cfg.StopTimeout)}
	defer h.End(core.EndedCanceled)
	if c.arrives != 0 {
		if err := p.welcome(h, c.kind, c.state, c.arrives.arrival()); err != nil {
			return err
		}
	}
	c.kind.Hooks.End(c.state, h, string(reason))
	return nil
}
