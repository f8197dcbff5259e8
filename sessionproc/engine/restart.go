package engine

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// The back-off of a session's restarts. The first restart in a RestartWindow does not wait.
const (
	firstBackOff = 20 * time.Millisecond // before the second restart; doubled for each later one
	mostBackOff  = 5 * time.Second
)

// A restart holds what a session needs for restarts. The session's goroutine alone uses the fields
// that mu does not guard.
type restart struct {
	times []time.Time // of the restarts in RestartWindow

	saved   []byte // RestartLastState: the encoded state, or nil
	savedAt uint64 // the value of process.changes when it was encoded
	warned  bool   // the log says that the state cannot be kept

	argument *savedArgument // RestartFresh; nil if it is not known

	// Guarded by process.mu.
	pending bool        // the session has crashed and must get a state before the next message
	timer   *time.Timer // of the back-off; nil without one
}

// A savedArgument is the encoded argument of a start. It travels with the session.
type savedArgument struct {
	Payload []byte `msgpack:",omitempty"`
	Raw     bool   `msgpack:",omitempty"`
	None    bool   `msgpack:",omitempty"` // the argument is the zero value
}

// supervise prepares a new session for restarts, before other goroutines know it.
func (p *process) supervise() {
	if restarts(p.Kind) != sessionproc.RestartNever {
		p.extra().restart = new(restart)
		p.keeps = restarts(p.Kind) == sessionproc.RestartLastState
	}
}

// restarts returns the RestartPolicy of a kind.
func restarts(k *core.Kind) sessionproc.RestartPolicy {
	return sessionproc.RestartPolicy(k.Settings.Restart)
}

// startsAgain reports whether the argument of a start must be kept.
func (p *process) startsAgain() bool { return restarts(p.Kind) == sessionproc.RestartFresh }

// keepState encodes the state for a restart, in the session's goroutine and before a message that
// may change it. It does nothing if nothing has changed since the last time. The state cannot be
// encoded after a crash instead: a handler that panicked may have left it half changed.
func (p *process) keepState() {
	r := p.ext.restart
	if p.State == nil || r.saved != nil && r.savedAt == p.changes {
		return
	}
	err := p.table().coded(p.ID, p.Kind, "its encoding", func() (err error) {
		r.saved, err = p.encodeState(nil, p.ext.rarely().unknown)
		return err
	})
	r.savedAt = p.changes
	if err == nil {
		if r.saved == nil { // MarshalState may return no bytes; nil means that nothing is kept
			r.saved = []byte{}
		}
		return
	}
	r.saved = nil
	if !r.warned {
		r.warned = true
		p.logger().Warn("the state of a session cannot be kept: a crash would end it", "err", err)
	}
}

// restartsLocked reports whether the session has crashed and must get a state.
func (p *process) restartsLocked() bool {
	return p.ext.restart != nil && p.ext.restart.pending && (p.phase == phaseLive || p.phase == phaseSealed)
}

// mayRestart decides, in the session's goroutine, whether the session restarts after a crash, and
// counts the restart. after is the back-off. With RestartLastState the kept state must be the one
// of the last change, or the crashed handler must have been ReadOnly, in which case the present
// state serves.
func (p *process) mayRestart() (after time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != phaseLive && p.phase != phaseSealed || p.ext == nil || p.ext.restart == nil || p.ext.reason != "" {
		return 0, false
	}
	r, cfg := p.ext.restart, &p.Kind.Settings
	switch {
	case sessionproc.RestartPolicy(cfg.Restart) == sessionproc.RestartFresh && r.argument == nil:
		return 0, false
	// the handler changed nothing
	case sessionproc.RestartPolicy(cfg.Restart) == sessionproc.RestartLastState && !r.pending && p.curLocked().readOnly:
		if r.savedAt != p.changes {
			r.saved = nil
		}
	case sessionproc.RestartPolicy(cfg.Restart) == sessionproc.RestartLastState &&
		(r.saved == nil || r.savedAt != p.changes):
		return 0, false
	}
	now := time.Now()
	r.times = slices.DeleteFunc(r.times, func(t time.Time) bool { return now.Sub(t) >= cfg.RestartWindow })
	if len(r.times) >= cfg.RestartBudget {
		return 0, false
	}
	r.times = append(r.times, now)
	return backOff(len(r.times)), true
}

// backOff returns how long the n-th restart in the window waits.
func backOff(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	return min(firstBackOff<<min(n-2, 20), mostBackOff)
}

// restartAfter answers the message whose handler crashed and makes the session run again after a
// back-off. Messages in the mailbox stay there. running remains set during the back-off, so that
// no sender hands the session to a worker. A sealed session does not back off, because its move
// must not wait.
func (p *process) restartAfter(after time.Duration, o core.Outcome) {
	p.mu.Lock()
	r, cur, act := p.ext.restart, p.curLocked(), p.act
	if restarts(p.Kind) == sessionproc.RestartFresh || r.saved != nil {
		p.State = nil // the crashed handler may have left it half changed
	}
	if p.cur != nil && !p.cur.noTouch {
		p.touch()
	}
	p.cur, p.act = nil, nil
	r.pending = true
	var timers *timerSet
	if restarts(p.Kind) == sessionproc.RestartFresh {
		timers, p.ext.timers = p.ext.timers, nil
	}
	p.crashTasksLocked()
	wait := after > 0 && p.phase == phaseLive
	if wait {
		p.noteLocked()
		r.timer = time.AfterFunc(after, func() { p.wakeAfterCrash() })
	}
	p.mu.Unlock()
	timers.stop()
	p.drop(nil, cur, o)
	if act != nil {
		act.End(core.EndedCanceled)
	}
	if !wait {
		p.table().workers.run(p, nil)
	}
}

// recoversLocked reports whether the session has crashed and does not run again yet.
func (p *process) recoversLocked() bool {
	return p.ext != nil && p.ext.restart != nil && p.ext.restart.pending
}

func (p *process) wakeAfterCrash() {
	p.mu.Lock()
	p.ext.restart.timer = nil
	p.mu.Unlock()
	p.table().workers.run(p, nil)
}

// restart gives a crashed session a state and a new incarnation, in the session's goroutine. It
// reports false if that failed; then it has handled the failure. The incarnation is new because
// the crashed message may have published values or answered calls which the restored state does
// not show: subscribers get a gap.
func (p *process) restart() bool {
	r := p.ext.restart
	state, unknown, err := p.State, p.ext.rarely().unknown, error(nil)
	switch {
	case restarts(p.Kind) == sessionproc.RestartFresh:
		unknown = nil
		state, err = p.startAgain(r.argument)
	case r.saved != nil:
		err = p.table().coded(p.ID, p.Kind, "its decoding", func() (err error) {
			state, unknown, err = p.Kind.DecodeState(p.Kind.Settings.Schema, r.saved)
			return err
		})
	}
	if err != nil {
		p.handleFailure(fmt.Errorf("its restart failed: %w", err), nil)
		return false
	}
	p.State = state
	p.mu.Lock()
	p.skipLocked()
	polls := p.takePollsLocked()
	defer func() {
		p.mu.Unlock()
		dropPolls(polls, errAnew) // asked again, they are answered with the present value
	}()
	r.pending = false
	p.ext.setUnknown(unknown)
	p.renewLocked()
	if restarts(p.Kind) == sessionproc.RestartFresh {
		p.changes++ // the state is a new one; with RestartLastState it is an old one
		p.ext.arrives = 0
		p.forgetRepliesLocked()
	} else {
		p.comes(sessionproc.ArrivalRestarted)
	}
	r.savedAt = p.changes // of the new incarnation
	p.madeLocked()
	p.table().supervision.restarts.Add(1)
	return true
}

// startAgain runs the start function again. The time that this takes does not count as idle.
func (p *process) startAgain(a *savedArgument) (any, error) {
	defer func(begun int64) {
		now := p.table().clock.now.Load()
		p.last.Store(min(now, p.last.Load()+now-begun))
	}(p.table().clock.now.Load())
	ctx := &core.Ctx{Head: &p.Head, Until: p.table().clock.in(p.table().cfg.CallTimeout)}
	defer ctx.End(core.EndedCanceled)
	return p.Kind.Maker.StartEncoded(ctx, a.Payload, a.Raw, a.None)
}

// noteArgument keeps the argument of the start for later restarts, in the session's goroutine.
func (p *process) noteArgument(payload []byte, raw, none bool) {
	p.ext.restart.argument = &savedArgument{slices.Clone(payload), raw, none}
}

// crashed contains a panic of a user's code in the session's goroutine, or with a nil cause a call
// of runtime.Goexit. This session ends or restarts, and no other.
func (p *process) crashed(cause any) {
	if cause == nil {
		cause = core.CalledGoexit
	}
	p.handleFailure(cause, debug.Stack())
}

// handleFailure ends or restarts a session whose code has failed. The log has the cause under a
// reference. Callers get only the reference, since the text of a panic may contain anything that
// the session holds.
func (p *process) handleFailure(cause any, stack []byte) {
	reference := newReference()
	p.table().supervision.crashes.Add(1)
	o := core.Outcome{Err: &sessionproc.CrashError{Reference: reference}}
	if after, ok := p.mayRestart(); ok {
		p.logger().Error("session crashed", "reference", reference, "panic", core.Thrown(cause), "stack", string(stack),
			"restarts_after", after)
		p.traceCrash(reference, true, after)
		p.restartAfter(after, o)
		return
	}
	p.logger().Error("session crashed", "reference", reference, "panic", core.Thrown(cause), "stack", string(stack))
	p.traceCrash(reference, false, 0)
	p.mu.Lock()
	starting := p.phase == phaseStarting
	if x := p.extra(); x.reason == "" {
		x.reason = sessionproc.ReasonCrashed
	}
	p.mu.Unlock()
	if !starting {
		p.countEnd(sessionproc.ReasonCrashed)
	}
	p.vanish(o)
	if starting {
		p.table().starts.leave()
	}
}
