package sessionproc

import (
	"fmt"
	"slices"
	"time"
)

// RestartPolicy is a value of KindConfig.Restart.
type RestartPolicy uint8

const (
	// RestartNever: a session that crashes ends.
	RestartNever RestartPolicy = iota
	// RestartLastState: it goes on with the state that the last completed handler
	// left, and with the timers that it has. For that the state is encoded, as it
	// travels, before each message whose method is not ReadOnly: that is what the
	// policy costs. A state that cannot be encoded, or only beyond MaxState, is
	// not kept: a crash ends its session.
	RestartLastState
	// RestartFresh: the start function makes a new state of the argument that the
	// session was started with, which is kept encoded. Timers are gone. The start
	// function gets a ctx with the node's CallTimeout and does not wait for its
	// turn (MaxStarting); its failure counts as another crash.
	RestartFresh
)

// Back-off of a session's restarts. The first one in a RestartWindow is at once.
const (
	firstBackOff = 20 * time.Millisecond // before the second; doubled for each later one
	mostBackOff  = 5 * time.Second
)

// restart is what a session of a kind that restarts needs for it.
type restart struct {
	times []time.Time // of the restarts in RestartWindow

	saved   []byte // RestartLastState: the state, encoded; nil: there is none
	savedAt uint64 // process.changes then
	warned  bool   // that the state cannot be kept

	argument *savedArgument // RestartFresh; nil: not known

	// Guarded by process.mu.
	pending bool        // it has crashed, its state is gone
	timer   *time.Timer // of its back-off; nil: it runs as soon as it can
}

// savedArgument is the argument of a start, as it travels.
type savedArgument struct {
	Payload []byte `msgpack:",omitempty"`
	Raw     bool   `msgpack:",omitempty"`
	None    bool   `msgpack:",omitempty"` // the zero argument
}

// supervise prepares a new session, that nobody else knows, for restarts.
func (p *process) supervise() {
	if p.kind.cfg.Restart != RestartNever {
		p.extra().restart = new(restart)
		p.keeps = p.kind.cfg.Restart == RestartLastState
	}
}

// startsAgain reports whether the argument of a start is to be kept.
func (p *process) startsAgain() bool { return p.kind.cfg.Restart == RestartFresh }

// keepState encodes the state, unless that was done since the last change, in the
// session's goroutine.
func (p *process) keepState() {
	r := p.ext.restart
	if p.state == nil || r.saved != nil && r.savedAt == p.changes {
		return
	}
	err := p.table.coded(p.id, p.kind, "its encoding", func() (err error) {
		r.saved, err = p.encodeState(p.ext.rarely().unknown)
		return err
	})
	r.savedAt = p.changes
	if err == nil {
		if r.saved == nil { // MarshalState may write nothing
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

// restartsLocked reports whether the session has crashed and is to get a state.
func (p *process) restartsLocked() bool {
	return p.ext.restart != nil && p.ext.restart.pending && (p.phase == phaseLive || p.phase == phaseSealed)
}

// hurryLocked ends a back-off: the caller has the session run.
func (p *process) hurryLocked() bool {
	if p.ext == nil || p.ext.restart == nil || p.ext.restart.timer == nil {
		return false
	}
	stopped := p.ext.restart.timer.Stop()
	p.ext.restart.timer = nil
	return stopped
}

// mayRestart decides, in the session's goroutine, whether a crash is followed by a
// restart, and counts it.
func (p *process) mayRestart() (after time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != phaseLive && p.phase != phaseSealed || p.ext == nil || p.ext.restart == nil || p.ext.reason != "" {
		return 0, false
	}
	r, cfg := p.ext.restart, &p.kind.cfg
	switch {
	case cfg.Restart == RestartFresh && r.argument == nil:
		return 0, false
	case cfg.Restart == RestartLastState && !r.pending && p.curLocked().readOnly: // it has changed nothing
		if r.savedAt != p.changes {
			r.saved = nil
		}
	case cfg.Restart == RestartLastState && (r.saved == nil || r.savedAt != p.changes):
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

// backOff is how long the n-th restart in the window waits.
func backOff(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	return min(firstBackOff<<min(n-2, 20), mostBackOff)
}

// restartAfter answers the message that has crashed and has the session run again.
// What waits in its mailbox goes on waiting.
func (p *process) restartAfter(after time.Duration, o outcome) {
	p.mu.Lock()
	r, cur, act := p.ext.restart, p.curLocked(), p.act
	if p.kind.cfg.Restart == RestartFresh || r.saved != nil {
		p.state = nil // not to be trusted
	}
	if p.cur != nil && !p.cur.noTouch {
		p.touch()
	}
	p.cur, p.act = nil, nil
	r.pending = true
	var timers *timerSet
	if p.kind.cfg.Restart == RestartFresh {
		timers, p.ext.timers = p.ext.timers, nil
	}
	wait := after > 0 && p.phase == phaseLive
	if wait {
		r.timer = time.AfterFunc(after, func() { p.wakeAfterCrash() })
	}
	p.mu.Unlock()
	timers.stop()
	p.drop(nil, cur, o)
	if act != nil {
		act.end(endedCanceled)
	}
	if !wait {
		p.table.workers.run(p, nil)
	}
}

func (p *process) wakeAfterCrash() {
	p.mu.Lock()
	p.ext.restart.timer = nil
	p.mu.Unlock()
	p.table.workers.run(p, nil)
}

// restart gives a crashed session a state and a new incarnation, in its goroutine.
// false: it has failed, and is dealt with.
func (p *process) restart() bool {
	r := p.ext.restart
	state, unknown, err := p.state, p.ext.rarely().unknown, error(nil)
	switch {
	case p.kind.cfg.Restart == RestartFresh:
		unknown = nil
		state, err = p.startAgain(r.argument)
	case r.saved != nil:
		err = p.table.coded(p.id, p.kind, "its decoding", func() (err error) {
			state, unknown, err = p.kind.decodeState(p.kind.cfg.Schema, r.saved)
			return err
		})
	}
	if err != nil {
		p.handleFailure(fmt.Errorf("its restart failed: %w", err), nil)
		return false
	}
	p.state = state
	p.mu.Lock()
	p.skipLocked()
	polls := p.takePollsLocked()
	defer func() {
		p.mu.Unlock()
		dropPolls(polls, errAnew) // they are answered with the present value
	}()
	r.pending = false
	p.ext.setUnknown(unknown)
	p.renewLocked()
	if p.kind.cfg.Restart == RestartFresh {
		p.changes++ // else it has the state that it had
		p.ext.arrives = 0
	} else {
		p.comes(ArrivalRestarted)
	}
	r.savedAt = p.changes // of the new incarnation
	p.table.supervision.restarts.Add(1)
	return true
}

// startAgain runs the start function once more. While that runs the session is not idle.
func (p *process) startAgain(a *savedArgument) (any, error) {
	defer func(begun int64) {
		now := p.table.clock.now.Load()
		p.last.Store(min(now, p.last.Load()+now-begun))
	}(p.table.clock.now.Load())
	ctx := &handlerCtx{p: p, deadline: p.table.clock.in(p.table.cfg.CallTimeout)}
	defer ctx.end(endedCanceled)
	return p.kind.maker.startEncoded(ctx, a.Payload, a.Raw, a.None)
}

// noteArgument keeps the argument of the start, in the session's goroutine.
func (p *process) noteArgument(payload []byte, raw, none bool) {
	p.ext.restart.argument = &savedArgument{slices.Clone(payload), raw, none}
}

// saveRestart writes what of the restarts travels.
func (p *process) saveRestartLocked(s *snapshot, now time.Time) {
	r := p.ext.restart
	if r == nil {
		return
	}
	s.Argument = r.argument
	for _, t := range r.times {
		s.Restarts = append(s.Restarts, now.Sub(t))
	}
}

func (p *process) loadRestart(s *snapshot) {
	p.supervise()
	r := p.ext.restart
	if r == nil {
		return
	}
	r.argument = s.Argument
	now := time.Now()
	for _, ago := range s.Restarts {
		r.times = append(r.times, now.Add(-ago))
	}
}
