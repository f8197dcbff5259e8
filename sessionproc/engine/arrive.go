package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// An arrivalNote is an ArrivalReason in one byte, for the session's record. 0 means none.
type arrivalNote uint8

var arrivalReasons = [...]sessionproc.ArrivalReason{
	1: sessionproc.ArrivalMoved, sessionproc.ArrivalRenewed, sessionproc.ArrivalRestarted, sessionproc.ArrivalPromoted, sessionproc.ArrivalMerged,
}

func noteOf(reason sessionproc.ArrivalReason) arrivalNote {
	return arrivalNote(slices.Index(arrivalReasons[:], reason))
}

func (n arrivalNote) arrival() sessionproc.Arrival {
	return sessionproc.Arrival{Reason: arrivalReasons[n]}
}

// errArriving is the error for an OnArrive that tries to change what travels.
var errArriving = errors.New("OnArrive cannot change what travels with the session; do that in a handler")

// An arriving is the op that the session handles while OnArrive runs, for code that looks at the
// present message, such as the watchdog and Details.
type arriving struct{}

func (arriving) Run(*core.Head, *core.Ctx) error { return core.NoHandler{} }
func (arriving) Drop(uint64, core.Outcome)       {}
func (arriving) Handles(uint64) string           { return "OnArrive" }

// comes records that the state was decoded, so that OnArrive runs before other code of the kind
// sees the state.
func (p *process) comes(reason sessionproc.ArrivalReason) {
	if p.Kind.Hooks.Arrive != nil {
		p.extra().arrives = noteOf(reason)
	}
}

// comesAs changes the reason of an arrival in a session that does not run yet.
func (p *process) comesAs(reason sessionproc.ArrivalReason) {
	if p.ext.arrives != 0 {
		p.ext.arrives = noteOf(reason)
	}
}

// arrivesLocked reports whether OnArrive must run before the next message. It does not run in a
// sealed session, whose state arrives on the node to which it goes. In a session that ends it runs
// before OnEnd, if there is an OnEnd.
func (p *process) arrivesLocked() bool {
	return p.ext.arrives != 0 && p.phase == phaseLive && p.ext.reason == ""
}

// welcome runs the OnArrive of a kind for a state: the state of the session, or of a copy that it
// meets.
func (p *process) welcome(h *core.Ctx, k *core.Kind, state any, a sessionproc.Arrival) error {
	p.noteArriving(true)
	defer p.noteArriving(false)
	if err := k.Hooks.Arrive(state, h, string(a.Reason)); err != nil {
		return fmt.Errorf("OnArrive failed: %w", err)
	}
	return nil
}

func (p *process) noteArriving(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.extra().arriving = on
}

// refusesLocked returns errArriving while OnArrive runs: nothing that travels may change then.
func (p *process) refusesLocked() error {
	if p.ext != nil && p.ext.arriving {
		return errArriving
	}
	return nil
}

// refuses is refusesLocked for a caller that does not hold mu. It logs what was refused, since
// some callers have no error to return.
func (p *process) refuses(what string) error {
	p.mu.Lock()
	err := p.refusesLocked()
	p.mu.Unlock()
	if err != nil {
		p.logger().Warn("OnArrive cannot change what travels with the session", "what", what)
	}
	return err
}

// ArriveState runs the OnArrive of a kind, if it has one, for state, which is a pointer. ctx must
// be that of a Detached. failed is the error that OnArrive returned. err reports a panic. It
// serves package nodetest.
func ArriveState(ctx context.Context, k sessionproc.AnyKind, state any, a sessionproc.Arrival) (failed, err error) {
	kind, h := k.Core(), core.Calling(ctx)
	if kind.Hooks.Arrive == nil {
		return nil, nil
	}
	if fault := core.Apart(func() { failed = sessionOf(h).welcome(h, kind, state, a) }); fault != nil {
		return nil, fmt.Errorf("OnArrive panicked: %s", fault.Text)
	}
	return failed, nil
}
