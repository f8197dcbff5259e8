package sessionproc

import (
	"sync"
	"sync/atomic"
)

// pause stops the work of a table's sessions for a while, without ending them.
type pause struct {
	why atomic.Pointer[error] // what messages get; nil: the table works

	mu   sync.Mutex
	held map[*process]struct{} // guarded by mu: they have messages and no worker
	late map[*process]struct{} // guarded by mu: timers of theirs were due
	end  chan struct{}         // guarded by mu: closed by Unpause; nil: nobody waits for it
}

// Pause stops the work of all sessions: no message is handled until Resumed, none
// of those that are in mailboxes already either, no session expires, no timer fires,
// and whatever comes gets why and surely does not run. Handlers that run go on. Sessions can be
// sealed meanwhile. A second Pause changes why.
func (t *Table) Pause(why error) { t.pause.why.Store(&why) }

// PausedBy returns what Pause was given last, nil unless the table is paused.
func (t *Table) PausedBy() error {
	if why := t.pause.why.Load(); why != nil {
		return *why
	}
	return nil
}

// Unpause has all sessions work on.
func (t *Table) Unpause() {
	b := &t.pause
	b.mu.Lock()
	b.why.Store(nil)
	held, late := b.held, b.late
	b.held, b.late = nil, nil
	if b.end != nil {
		close(b.end)
		b.end = nil
	}
	b.mu.Unlock()
	for p := range late {
		p.fireLate()
	}
	for p := range held {
		p.mu.Lock()
		arrives := p.ext != nil && (p.ext.arrives != 0 || p.ext.others != nil)
		start := !p.running && (p.head != nil || arrives) && p.phase < phaseSealed
		if start {
			p.running = true
		}
		p.mu.Unlock()
		if start {
			t.workers.run(p, nil)
		}
	}
}

// holdLocked notes that p, which has messages, is to run after the pause. false:
// there is none.
func (p *process) holdLocked() bool {
	b := &p.table.pause
	held := b.note(&b.held, p)
	if held {
		p.running = false
	}
	return held
}

// note puts p into one of the sets that Unpause deals with. false: there is no pause.
func (b *pause) note(set *map[*process]struct{}, p *process) bool {
	if b.why.Load() == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.why.Load() == nil {
		return false
	}
	put(set, p, struct{}{})
	return true
}

// over returns a channel that is closed when the pause ends; nil: there is none.
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

// DetectStalls has the table look out for a stall from now on, or not: a node that is alone
// need not. It costs a reading of the clock when a session begins to work.
func (t *Table) DetectStalls(on bool) { t.watched.Store(on && t.cfg.OnStall != nil) }

// notice looks whether the whole process has stood still for StallAfter, and tells
// OnStall before any message is handled.
func (t *Table) notice() {
	if !t.watched.Load() {
		return
	}
	if gap := t.clock.behind(); gap > t.cfg.StallAfter {
		t.cfg.OnStall(gap)
	}
}
