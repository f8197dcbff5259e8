package engine

import (
	"sync"
	"sync/atomic"
)

// A pause stops the sessions of a table for a while without ending them. A node without a quorum
// pauses its table: another part of the cluster may run the same sessions.
//
// why is read without a lock for each request. A session that is about to run or a timer that is
// due notes itself in a set under mu and reads why again there; Unpause clears why and takes the
// sets in one critical section. So a session either sees the end of the pause or is in a set that
// Unpause deals with.
type pause struct {
	why atomic.Pointer[error] // the error for requests; nil while the table works

	mu   sync.Mutex
	held map[*process]struct{} // guarded by mu: sessions with messages that gave up their worker
	late map[*process]struct{} // guarded by mu: sessions whose timers were due
	end  chan struct{}         // guarded by mu: closed by Unpause; nil if no goroutine waits for it
}

// Pause stops all sessions until Unpause. No message is handled, including those that are in
// mailboxes already; no session expires; no timer fires. New requests get the error why, and
// certainly do not run. Running handlers continue. Sessions can be sealed meanwhile. A second Pause
// changes why.
func (t *Table) Pause(why error) { t.pause.why.Store(&why) }

// PausedBy returns the argument of the last Pause, or nil if the table is not paused.
func (t *Table) PausedBy() error {
	if why := t.pause.why.Load(); why != nil {
		return *why
	}
	return nil
}

// holdLocked takes the worker from p, which has messages, until the end of the pause. It reports
// false if there is no pause.
func (p *process) holdLocked() bool {
	b := &p.table().pause
	held := b.note(&b.held, p)
	if held {
		p.running = false
	}
	return held
}

// note puts p into one of the sets of Unpause. It reports false if there is no pause.
func (b *pause) note(set *map[*process]struct{}, p *process) bool {
	if b.why.Load() == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.why.Load() == nil {
		return false
	}
	p.noteLocked()
	put(set, p, struct{}{})
	return true
}

// over returns a channel that is closed when the pause ends, or nil if there is no pause.
func (b *pause) over() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.why.Load() == nil {
		return nil
	}
	if b.end == nil {
		b.end = make(chan struct{})
	}
	return b.end
}

// DetectStalls turns the detection of stalls on or off. A node that is alone does not need it. It
// costs a reading of the clock for each burst of messages.
func (t *Table) DetectStalls(on bool) { t.watched.Store(on && t.cfg.OnStall != nil) }

// notice checks whether the operating system's process stood still for StallAfter, and if so calls
// OnStall. It is called before a session handles a message: another node may have taken the
// session over during a stall.
func (t *Table) notice() {
	if !t.watched.Load() {
		return
	}
	if gap := t.clock.behind(); gap > t.cfg.StallAfter {
		t.cfg.OnStall(gap)
	}
}
