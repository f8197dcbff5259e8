package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A session whose handler ends the process (a stack that overflows, memory that runs out, os.Exit) would
// end one node after another, as each goes on with it. So a session that was promoted is on trial: before
// it runs code of its kind for the first time, OnArrive or a handler, it makes a record which says so, and
// waits for that. Copies that it meets come first, with OnMerge: members that have one take no record
// without its changes. Its first record afterwards says that it has survived. A promoted copy
// that finds maxTrials trials which were not survived, all within its kind's trialWindow, is
// quarantined: no code of its kind runs any more, OnEnd included, and it waits for its termination or
// for its time to be over.
//
// A session that does nothing begins no trial. So it is not suspected, however many of its nodes crash.
// What is not seen: code that runs while a state is decoded, and what ends the process later than the
// record after the burst in which it began.
type trial struct {
	times []time.Time // when the trials began that the session was not seen to survive
	stage trialStage
	over  bool // the session is quarantined
}

// A trialStage says how far the present trial is.
type trialStage uint8

const (
	trialDue   trialStage = iota // no code of the kind has run since the promotion
	trialAsked                   // a record says that it is about to
	trialRuns                    // that record was answered
)

const (
	// maxTrials is the number of failed trials after which a session is not promoted a third time.
	maxTrials = 2
	// trialsFor is the trialWindow of a kind without restarts.
	trialsFor = 10 * time.Minute
)

// errQuarantined is the error for messages to a session that is quarantined.
var errQuarantined = fmt.Errorf("%w: the session is quarantined, because nodes that went on with it have crashed; "+
	"Terminate ends it", sessionproc.ErrUnavailable)

// trialWindow is the time within which failed trials count: RestartWindow of a kind that restarts.
func (p *process) trialWindow() time.Duration {
	if restarts(p.Kind) == sessionproc.RestartNever {
		return trialsFor
	}
	return p.Kind.Settings.RestartWindow
}

// trialOf returns the trial of a session, nil of one that is not on trial.
func (p *process) trialOf() *trial {
	if d := p.ext.recordsOf(); d != nil {
		return d.trial
	}
	return nil
}

// loadTrial restores the trial of a session that has come, before it runs.
func (p *process) loadTrial(s *snapshot) {
	if !p.Kind.Kept || len(s.Trials) == 0 && !s.Quarantined {
		return
	}
	t := &trial{over: s.Quarantined}
	now := time.Now()
	for _, ago := range s.Trials[max(0, len(s.Trials)-maxTrials):] {
		t.times = append(t.times, now.Add(-ago))
	}
	p.recordsLocked().trial = t
}

// tryLocked puts a session on trial that is promoted, or into quarantine.
func (p *process) tryLocked() {
	if !p.Kind.Kept || p.ext.renewed != nil {
		return
	}
	d := p.recordsLocked()
	if d.trial == nil {
		d.trial = new(trial)
	}
	t, now := d.trial, time.Now()
	t.times = slices.DeleteFunc(t.times, func(at time.Time) bool { return now.Sub(at) >= p.trialWindow() })
	t.over = t.over || len(t.times) >= maxTrials
}

// quarantinedLocked reports whether no code of the kind may run for the session.
func (p *process) quarantinedLocked() bool {
	t := p.trialOf()
	return t != nil && t.over
}

// quarantineLocked takes a session that comes, or that stays, out of use if it is quarantined, unless the
// sessions of one of its labels were ended meanwhile.
func (p *process) quarantineLocked() bool {
	if !p.quarantinedLocked() || p.phase != phaseLive && p.phase != phaseQuarantined {
		return false
	}
	p.phase = phaseLive
	if p.recallLocked(); p.ext.reason != "" {
		return false
	}
	p.phase = phaseQuarantined
	p.noteLocked()
	p.logger().Error("a session is quarantined: nodes that went on with it have crashed", "failed", len(p.trialOf().times))
	return true
}

// awaitsTrialLocked reports whether code of the kind is to run for a session whose trial has not begun.
// record: it has to make the record that begins it; otherwise one is in flight.
func (p *process) awaitsTrialLocked() (waits, record bool) {
	t := p.trialOf()
	if t == nil || t.stage == trialRuns || p.phase != phaseLive || p.ext.reason != "" {
		return false, false
	}
	if p.meetsLocked() || p.head == nil && !p.arrivesLocked() {
		return false, false
	}
	return true, !p.ext.records.inFlight
}

// trialsLocked returns how long ago the trials began for a record that is being made, which begins or
// ends one.
func (p *process) trialsLocked() (ago []time.Duration) {
	d := p.ext.recordsOf()
	if d == nil || d.trial == nil {
		return nil
	}
	t, now := d.trial, time.Now()
	switch waits, _ := p.awaitsTrialLocked(); {
	case t.over:
	case t.stage == trialRuns && p.cur == nil: // otherwise its handler saves
		d.trial = nil
		return nil
	case waits && t.stage == trialDue:
		t.stage, t.times = trialAsked, append(t.times, now)
	}
	return p.savedTrialsLocked()
}

// savedTrialsLocked returns how long ago the trials began, for a snapshot.
func (p *process) savedTrialsLocked() (ago []time.Duration) {
	if t := p.trialOf(); t != nil {
		for _, at := range t.times {
			ago = append(ago, time.Since(at))
		}
	}
	return ago
}

// leavingTrialsLocked is savedTrialsLocked for a session that moves. A trial that has begun here has not failed: this
// node lives, and no code of the session runs any more. Whether it was survived is not known if that was about to run,
// so that earlier trials still count.
func (p *process) leavingTrialsLocked() []time.Duration {
	ago := p.savedTrialsLocked()
	if t := p.trialOf(); t == nil || t.stage == trialDue {
		return ago
	}
	if len(ago) == 1 {
		return nil
	}
	return ago[:len(ago)-1]
}

// triedLocked is called when a record was answered: if it has begun a trial, that goes on. It need not be
// durable: then no other node has the session, and none follows this one.
func (p *process) triedLocked() {
	if t := p.trialOf(); t != nil && t.stage == trialAsked {
		t.stage = trialRuns
	}
}

// arrivedLocked is called when OnArrive has returned. If no message waits, the session has survived, and
// its first message begins another trial.
func (p *process) arrivedLocked() {
	d := p.ext.recordsOf()
	if d == nil || d.trial == nil || d.trial.stage != trialRuns || p.head != nil {
		return
	}
	t := d.trial
	t.times, t.stage, d.again = t.times[:len(t.times)-1], trialDue, true
}
