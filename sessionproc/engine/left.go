package engine

import (
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// What a handler's ctx reaches of a session once that does not run here any more. Only
// a goroutine that a handler has left behind sees it: it keeps a record that others
// answer by, or that has been sent.

// errLeft is what such a goroutine gets where it is told.
var errLeft = fmt.Errorf("%w: it does not run here any more", sessionproc.ErrNotFound)

// leftLocked reports whether nothing can be done to the session here: it goes on under
// another ID, it has been encoded to go to another node, or it has gone.
func (p *process) leftLocked() bool {
	x := p.ext
	return p.phase == phaseGone || x != nil && (x.renewed != nil || p.phase == phaseSealed && x.sealing.saved)
}

// silentLocked is why the session publishes nothing: it has left, its end has been told,
// or it has just come.
func (p *process) silentLocked() error {
	if p.leftLocked() || p.ext != nil && p.ext.ending != nil {
		return errLeft
	}
	return p.refusesLocked()
}

// leftover logs what was to be done to a session that has left.
func (p *process) leftover(what string) {
	p.logger().Debug("a goroutine that a handler has left behind does nothing to a session that has gone on elsewhere",
		"what", what)
}
