package engine

import (
	"errors"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A sealing is the state of a session that is on its way to another node or to
// another ID.
type sealing struct {
	was      phase // phaseLive or phaseRenewed
	moved    error // the error for messages
	done     func(snapshot []byte, err error)
	chain    []string // the sessions that wait for this; set once
	renews   bool     // the session gets another ID here; its end must be told at once
	reported bool     // done was called or is about to be called; it is called once
	sent     bool     // only the target decides now
	saved    bool     // the snapshot is made
}

// ErrUnsealed is passed to the done of Seal if the session has ended or was
// resumed before its snapshot was made.
var ErrUnsealed = errors.New("sessionproc: the session is not sealed any more")

// An unsealed error is an ErrUnsealed with the reason.
type unsealed struct{ error }

func (u unsealed) Unwrap() []error { return []error{ErrUnsealed, u.error} }

// overLocked returns a function that reports to done that there will be no
// snapshot, unless done was told already. The caller must call the function
// after it has unlocked mu.
func (s *sealing) overLocked(why error) (tell func()) {
	if s == nil || s.reported {
		return func() {}
	}
	s.reported = true
	return func() { s.done(nil, unsealed{why}) }
}

// unseal tells a renewal that the session ends, as soon as that is known.
func (p *process) unseal(why error) {
	p.mu.Lock()
	var s *sealing
	if p.ext != nil && p.ext.sealing != nil && p.ext.sealing.renews {
		s = p.ext.sealing
	}
	tell := s.overLocked(why)
	p.mu.Unlock()
	tell()
}

// takesAlongLocked reports whether e can travel with a sealed session: e is a
// cast, and the session is not encoded yet. The sender of e may be waited for
// by the very handler that delays the snapshot, so e must not be turned away.
func (p *process) takesAlongLocked(e *core.Envelope) bool {
	if p.phase != phaseSealed || p.ext.sealing.was != phaseLive || p.ext.sealing.saved || !p.running ||
		p.ext.reason != "" {
		return false
	}
	_, cast := e.Task.(carried)
	return cast
}

// worksLocked reports whether a sealed session still runs a handler, so that it
// is certainly here.
func (p *process) worksLocked() bool {
	return p.phase == phaseSealed && p.ext.sealing.was == phaseLive && p.cur != nil
}

// staysSealedLocked reports whether a sealed session must not be ended for reason: its target may have
// it already.
func (p *process) staysSealedLocked(reason sessionproc.Reason) bool {
	return reason == sessionproc.ReasonTerminated || p.ext.sealing.sent && reason != abrupt
}

// tooLateLocked returns the error for a message that comes after the last one.
func (p *process) tooLateLocked() error {
	switch {
	case p.phase < phaseEnding && p.ext.renewed != nil:
		return sessionproc.ErrRenewed
	case p.phase == phaseQuarantined:
		return errQuarantined
	case p.phase == phaseSealed:
		return p.ext.sealing.moved
	case p.Kind.Kept && p.endUntoldLocked():
		return p.table().cfg.moving()
	case p.ext.gone != nil:
		return p.ext.gone
	}
	return sessionproc.ErrNotFound
}

// awayLocked returns the error for a question about a session that is on its
// way to another node, is there, or goes on under another ID, or ends without
// anybody being allowed to hear of that. It returns nil if the session has to answer.
func (p *process) awayLocked() error {
	switch {
	case p.phase == phaseRenewed, p.phase == phaseQuarantined, p.phase == phaseSealed,
		p.phase >= phaseEnding && p.ext.moved, p.Kind.Kept && p.endUntoldLocked():
		return p.tooLateLocked()
	}
	return nil
}
