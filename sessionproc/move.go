package sessionproc

import (
	"cmp"
	"errors"
	"slices"
)

// sealing is the state of a session that is on its way to another node.
type sealing struct {
	was    phase // phaseLive or phaseRenewed
	moved  error // what messages get
	done   func(snapshot []byte, err error)
	chain  []string // the sessions that wait for that; set once
	renews bool     // it is to get another ID here, not to move; who waits for that is told at once
	told   bool     // done was called, or is about to be: that is once
	sent   bool     // only the target decides now
	saved  bool     // the snapshot has been made
}

// ErrUnsealed is what Seal tells of a session that has ended or was resumed before its
// snapshot was made.
var ErrUnsealed = errors.New("sessionproc: the session is not sealed any more")

// unsealed is an ErrUnsealed, and why.
type unsealed struct{ error }

func (u unsealed) Unwrap() []error { return []error{ErrUnsealed, u.error} }

// overLocked returns what tells that the session does not come to its snapshot, unless
// that is told already: to be called without the lock.
func (s *sealing) overLocked(why error) (tell func()) {
	if s == nil || s.told {
		return func() {}
	}
	s.told = true
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

// Movable returns the IDs of a partition's sessions that can be sealed, those
// first that were used last.
func (t *Table) Movable(part int) []string {
	type used struct {
		id   string
		last int64
	}
	pt := &t.parts[part]
	pt.mu.RLock()
	all := make([]used, 0, len(pt.m))
	for _, p := range pt.m {
		all = append(all, used{p.id, p.last.Load()})
	}
	pt.mu.RUnlock()
	slices.SortFunc(all, func(a, b used) int { return cmp.Compare(b.last, a.last) })
	ids := make([]string, len(all))
	for i, u := range all {
		ids[i] = u.id
	}
	return ids
}

// Seal ends the work of a session for another node to go on with it. From now
// on its messages get moved, and so do the calls that wait in its mailbox: they
// surely have not run. When its present handler has returned, done gets its
// snapshot, in the session's goroutine, or why it cannot be encoded; or an
// ErrUnsealed if the session ends or is resumed before. It is called once, and must
// not block. Seal does nothing and returns false if
// the session is starting, ending or sealed, or if ask, called with the
// session's lock held, does not agree. A session of a kind with EndOnMove is
// stopped instead.
func (t *Table) Seal(part int, id string, moved error, ask func() bool, done func(snapshot []byte, err error)) bool {
	p := t.find(part, id)
	if p == nil {
		return false
	}
	p.mu.Lock()
	if p.phase != phaseLive && p.phase != phaseRenewed || p.stoppingLocked() {
		p.mu.Unlock()
		return false
	}
	if p.kind.cfg.EndOnMove && p.phase == phaseLive {
		p.mu.Unlock()
		(*Session)(p).Stop(ReasonMoved)
		return false
	}
	if !ask() {
		p.mu.Unlock()
		return false
	}
	calls, polls, idle := p.sealLocked(&sealing{was: p.phase, moved: moved, done: done})
	p.mu.Unlock()
	p.drop(calls, handling{}, outcome{err: moved})
	dropPolls(polls, moved)
	if idle {
		t.workers.takeDown(p)
	}
	return true
}

// sealLocked takes no more messages and returns the calls and polls that waited, to
// be answered. idle: the caller is to have the session run.
func (p *process) sealLocked(s *sealing) (calls *envelope, polls []*Inbound, idle bool) {
	p.phase = phaseSealed
	x := p.extra()
	x.sealing = s
	x.timers.stop()
	for w := range x.watches {
		w.stop()
	}
	polls = p.takePollsLocked()
	var last *envelope
	for e := p.takeAllLocked(); e != nil; {
		next := e.next
		e.next = nil
		switch _, cast := e.op.(carried); {
		case cast:
			p.appendLocked(e)
		case last == nil:
			calls, last = e, e
		default:
			last.next, last = e, e
		}
		e = next
	}
	idle = !p.running || p.hurryLocked()
	p.running = true
	return calls, polls, idle
}

// takesAlongLocked: a sealed session has not been encoded yet, and e can travel with it.
// The handler that it still runs may be who has sent e, and whom the session waits for.
func (p *process) takesAlongLocked(e *envelope) bool {
	if p.phase != phaseSealed || p.ext.sealing.was != phaseLive || p.ext.sealing.saved || !p.running || p.ext.reason != "" {
		return false
	}
	_, cast := e.op.(carried)
	return cast
}

// worksLocked: a sealed session still runs a handler, so that it is here for certain.
func (p *process) worksLocked() bool {
	return p.phase == phaseSealed && p.ext.sealing.was == phaseLive && p.cur != nil
}

func (p *process) staysSealedLocked(reason Reason) bool {
	return reason == ReasonTerminated || p.ext.sealing.sent && reason != abrupt
}

// takeDown gives the snapshot of a sealed session, in its goroutine. goesOn: it
// was resumed or ended meanwhile.
func (p *process) takeDown(s *sealing) (goesOn bool) {
	b, err := p.save()
	p.mu.Lock()
	if p.phase != phaseSealed || p.ext.sealing != s || p.ext.reason != "" {
		p.mu.Unlock()
		return true
	}
	p.running, s.told = false, true
	p.mu.Unlock()
	s.done(b, err)
	return false
}

// SessionKind returns the name of the kind of session id; "": it is not in the table.
func (t *Table) SessionKind(part int, id string) string {
	if p := t.find(part, id); p != nil {
		return p.kind.name
	}
	return ""
}

// Sent says that only the target of a sealed session decides from now on.
func (t *Table) Sent(part int, id string) {
	if p := t.findLocked(part, id); p != nil {
		defer p.mu.Unlock()
		p.commitLocked(nil)
	}
}

// commitLocked is Sent for a session that was sealed by s, or with nil by whomever.
func (p *process) commitLocked(s *sealing) {
	if p.phase == phaseSealed && (s == nil || p.ext.sealing == s) {
		p.ext.sealing.sent = true
	}
}

// Resume has a sealed session run on here.
func (t *Table) Resume(part int, id string) {
	if p := t.findLocked(part, id); p != nil {
		p.resumeLocked(nil)
	}
}

// resume has a session run on that was sealed by s.
func (p *process) resume(s *sealing) {
	p.mu.Lock()
	p.resumeLocked(s)
}

// resumeLocked is resume for a session that was sealed by s, or with nil by whomever. It
// unlocks.
func (p *process) resumeLocked(s *sealing) {
	if p.ext == nil || p.ext.sealing == nil || s != nil && p.ext.sealing != s || p.phase != phaseSealed && p.phase != phaseEnding {
		p.mu.Unlock()
		return
	}
	tell, was := p.ext.sealing.overLocked(errResumed), p.ext.sealing.was
	p.ext.sealing = nil
	defer tell()
	if p.phase == phaseEnding { // who may come in its place is not on its way
		p.mu.Unlock()
		return
	}
	p.phase = was
	if p.phase == phaseRenewed {
		p.armRenewedLocked()
	}
	p.armAllLocked()
	p.recallLocked()
	p.watchAllLocked()
	start := !p.running && (p.head != nil || p.ext.reason != "" || p.ext.others != nil || p.ext.arrives != 0)
	if start {
		p.running = true
	}
	p.mu.Unlock()
	if start {
		p.table.workers.run(p, nil)
	}
}

var errResumed = errors.New("it goes on here")

// Forget takes a sealed session, whose snapshot was given, out of the table.
// Whatever still finds it gets moved. The rest is left to after, as it may
// start sessions.
func (t *Table) Forget(part int, id string) (after func()) {
	p := t.findLocked(part, id)
	if p == nil {
		return func() {}
	}
	if p.phase != phaseSealed {
		p.mu.Unlock()
		return func() {}
	}
	moved := p.ext.sealing.moved
	p.phase, p.ext.gone, p.ext.moved = phaseGone, moved, true
	p.mu.Unlock()
	p.remove()
	return func() { p.gone(outcome{err: moved}) }
}
