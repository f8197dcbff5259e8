package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Arrival says how a state has come; see Kind.OnArrive. FromContext has the rest: the
// session's ID, incarnation and labels.
type Arrival struct {
	Reason ArrivalReason
}

// ArrivalReason is why a state was made of encoded bytes.
type ArrivalReason string

// Reasons of arrivals.
const (
	// ArrivalMoved: the session has come from another node, in the incarnation that it
	// had there.
	ArrivalMoved ArrivalReason = "moved"
	// ArrivalRenewed: the session has a new ID (node.Node.Renew), on whatever node. Nobody
	// calls it by the old one any more.
	ArrivalRenewed ArrivalReason = "renewed"
	// ArrivalRestarted: the session has crashed and goes on with its last state
	// (RestartLastState).
	ArrivalRestarted ArrivalReason = "restarted"
	// ArrivalPromoted: the node that had the session is gone, and a copy of it that was
	// kept goes on. The copy may lack the last changes.
	ArrivalPromoted ArrivalReason = "promoted"
	// ArrivalMerged: two copies of the session have met, and this is the state of the
	// one that has come, or one that was set back as OnMerge has failed. It goes on, is
	// taken in by OnMerge, or is told by OnEnd that it does not go on.
	ArrivalMerged ArrivalReason = "merged"
)

// arrivalNote is an ArrivalReason as a session keeps it, in a byte; 0: none.
type arrivalNote uint8

var arrivalReasons = [...]ArrivalReason{
	1: ArrivalMoved, ArrivalRenewed, ArrivalRestarted, ArrivalPromoted, ArrivalMerged,
}

func noteOf(reason ArrivalReason) arrivalNote {
	return arrivalNote(slices.Index(arrivalReasons[:], reason))
}

func (n arrivalNote) arrival() Arrival { return Arrival{arrivalReasons[n]} }

// errArriving is what an OnArrive gets that wants to change what travels.
var errArriving = errors.New("OnArrive cannot change what travels with the session; do that in a handler")

// arriving stands for an OnArrive where a message is looked for: it is what the session
// handles meanwhile.
type arriving struct{}

func (arriving) run(*process) error    { return noHandler{} }
func (arriving) drop(uint64, outcome)  {}
func (arriving) handles(uint64) string { return "OnArrive" }

// comes notes that the state was made of encoded bytes, so that OnArrive runs before
// anything else sees it.
func (p *process) comes(reason ArrivalReason) {
	if p.kind.hooks.arrive != nil {
		p.extra().arrives = noteOf(reason)
	}
}

// comesAs gives a session that does not run yet another reason of its arrival.
func (p *process) comesAs(reason ArrivalReason) {
	if p.ext.arrives != 0 {
		p.ext.arrives = noteOf(reason)
	}
}

// arrivesLocked reports whether OnArrive is to run before the next message. In a session
// that is sealed it waits: what goes on to another node arrives there. In one that ends
// it runs before OnEnd, if there is that.
func (p *process) arrivesLocked() bool {
	return p.ext.arrives != 0 && p.phase == phaseLive && p.ext.reason == ""
}

// arrive runs OnArrive in the session's goroutine. It is no message: it counts as no use
// and no change. false: it has failed, and that is dealt with.
func (p *process) arrive() bool {
	h := &handlerCtx{p: p, deadline: p.table.clock.in(p.table.cfg.CallTimeout)}
	p.mu.Lock()
	p.cur = &handling{e: &envelope{op: arriving{}}, ctx: h, since: p.table.clock.now.Load(), readOnly: true, noTouch: true}
	a := p.ext.arrives.arrival()
	p.mu.Unlock()
	if err := p.welcome(h, p.kind, p.state, a); err != nil {
		p.handleFailure(err, nil)
		return false
	}
	h.end(endedCanceled)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cur, p.ext.arrives = nil, 0
	if p.ext.came != 0 {
		p.settledLocked()
	}
	return true
}

// welcome runs the OnArrive of a kind for a state: that of the session or, of its kind,
// that of a copy which it meets.
func (p *process) welcome(h *handlerCtx, k *kindCore, state any, a Arrival) error {
	p.noteArriving(true)
	defer p.noteArriving(false)
	if err := k.hooks.arrive(state, h, a); err != nil {
		return fmt.Errorf("OnArrive failed: %w", err)
	}
	return nil
}

func (p *process) noteArriving(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.extra().arriving = on
}

// refusesLocked is why nothing of the session that travels can be changed now.
func (p *process) refusesLocked() error {
	if p.ext != nil && p.ext.arriving {
		return errArriving
	}
	return nil
}

// refuses is refusesLocked for who does not hold the lock. what is logged, where the
// caller has no error to return.
func (p *process) refuses(what string) error {
	p.mu.Lock()
	err := p.refusesLocked()
	p.mu.Unlock()
	if err != nil && p.kind.timerWarns.Allow() {
		p.logger().Warn("OnArrive cannot change what travels with the session", "what", what)
	}
	return err
}

// ArriveState runs the OnArrive of a kind, if it has one, for a state, a pointer, that
// has come. ctx is that of a Detached. failed is what OnArrive returns; err says that it
// has panicked. It serves package nodetest.
func ArriveState(ctx context.Context, k AnyKind, state any, a Arrival) (failed, err error) {
	core, h := k.core(), calling(ctx)
	if core.hooks.arrive == nil {
		return nil, nil
	}
	if fault := Apart(func() { failed = h.p.welcome(h, core, state, a) }); fault != nil {
		return nil, fmt.Errorf("OnArrive panicked: %s", fault.Text)
	}
	return failed, nil
}
