package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

const (
	// recallFor is how long a table remembers that the sessions of a label were ended, unless
	// HoldRecalls says longer. A session that was on its way to the table at that moment ends when it
	// arrives, or when it is promoted.
	recallFor = time.Minute
	// recallSlack is how much too late a session that has moved may seem to have started, since
	// clocks differ.
	recallSlack = time.Second
	// maxRecalled bounds the labels that are remembered.
	maxRecalled = 1 << 16
)

// recall remembers the labels whose sessions were ended. A session in transit is in no table, so no
// node can end it at the time of the request; the one where it arrives does.
type recall struct {
	count atomic.Int32 // the size of m; lets arrivals skip the lock

	swept time.Duration // the time of the last sweep, since epoch; used by the table's loop only

	mu sync.Mutex
	m  map[label]time.Duration // guarded by mu: when, since epoch
	// held is when HoldRecalls was last called, since epoch; nil: never. Guarded by mu.
	held *time.Duration
}

// overLocked reports whether a label need not be remembered any more whose sessions were ended at a time.
func (r *recall) overLocked(at, now time.Duration) bool {
	if r.held != nil {
		at = max(at, *r.held)
	}
	return now-at > recallFor
}

type label struct{ key, value string }

// add remembers a label whose sessions were ended at a time. It fails if too many labels are
// remembered: forgetting one early would let a session of a user escape a log-out.
func (r *recall) add(l label, at time.Duration) error {
	now := time.Since(core.Epoch)
	r.mu.Lock()
	defer r.mu.Unlock()
	last, again := r.m[l]
	if again && last >= at {
		return nil
	}
	if !again && len(r.m) >= maxRecalled {
		if r.forgetLocked(now); len(r.m) >= maxRecalled {
			return fmt.Errorf("%w: the sessions of %d labels were ended in the last minute", sessionproc.ErrOverloaded, len(r.m))
		}
	}
	if r.m == nil {
		r.m = map[label]time.Duration{}
	}
	r.m[l] = at
	r.count.Store(int32(len(r.m)))
	return nil
}

// forgetLocked forgets labels older than recallFor.
func (r *recall) forgetLocked(now time.Duration) {
	for l, at := range r.m {
		if r.overLocked(at, now) {
			delete(r.m, l)
		}
	}
	r.count.Store(int32(len(r.m)))
}

// HoldRecalls has the table remember the labels whose sessions were ended for another minute, however
// long ago that was. A node calls it every few seconds while it has a standby that it has not promoted:
// that may be of a session with such a label which nobody could end, and which must end when it is promoted.
func (t *Table) HoldRecalls() {
	r := &t.recall
	if r.count.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(core.Epoch)
	r.held = &now
}

// sweep forgets labels older than recallFor, at most once a second, for the table's loop.
func (r *recall) sweep(now time.Duration) {
	if ago := now - r.swept; r.count.Load() == 0 || 0 <= ago && ago < time.Second {
		return
	}
	r.swept = now
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(now)
}

// has reports whether a session of the label that started at begun must end.
func (r *recall) has(l label, begun time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.m[l]
	if ok && r.overLocked(at, time.Since(core.Epoch)) {
		delete(r.m, l)
		r.count.Store(int32(len(r.m)))
		return false
	}
	return ok && begun <= at+recallSlack
}

// recallLocked makes the session end, as soon as it runs, if it was in transit when the sessions of
// one of its labels were ended.
func (p *process) recallLocked() {
	r := &p.table().recall
	if r.count.Load() == 0 || p.ext == nil || p.ext.reason != "" {
		return
	}
	for key, value := range p.ext.labels {
		if r.has(label{key, value}, time.Duration(p.begun)) {
			p.ext.reason = sessionproc.ReasonTerminated
			return
		}
	}
}

// A Recalled is a label whose sessions were ended, and how long ago.
type Recalled struct {
	Key, Value string
	Ago        time.Duration
}

// Recalled returns the labels whose sessions were ended in the last minute. A node that joins gets
// them from the others.
func (t *Table) Recalled() (all []Recalled) {
	r := &t.recall
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(core.Epoch)
	for l, at := range r.m {
		if !r.overLocked(at, now) {
			all = append(all, Recalled{l.key, l.value, now - at})
		}
	}
	return all
}

// EndLabelled ends all sessions that have a label, and for a minute also those that arrive with the
// label and were started before. ago is how long ago the other nodes ended theirs: sessions that
// started later stay. EndLabelled returns when the sessions have left the table, when ctx ends, or
// after StopTimeout, whichever comes first. moving are the IDs of sessions that are on their way to
// another node; they end there, or here if they come back. waiting are the IDs of sessions whose
// handlers wait for this call: EndLabelled does not wait for these.
func (t *Table) EndLabelled(
	ctx context.Context, key, value string, ago time.Duration, waiting ...string,
) (ended int, moving []string, err error) {
	if err := CheckLabel(key, value); err != nil {
		return 0, nil, err
	}
	at := time.Since(core.Epoch) - ago
	if err := t.recall.add(label{key, value}, at); err != nil {
		return 0, nil, err
	}
	some, kept := newEndings(), newEndings()
	for p := range t.all() {
		p.mu.Lock()
		has := p.hasLabelLocked(key, value) && (ago == 0 || time.Duration(p.begun) <= at+recallSlack)
		p.mu.Unlock()
		if !has {
			continue
		}
		if slices.Contains(waiting, p.ID) || p.endsLabelled() {
			// A sealed session ends where it runs on, because its label is remembered.
			if p.end(sessionproc.ReasonTerminated, nil) || p.sealed() {
				ended++
			}
			continue
		}
		wait := some
		if p.Kind.Kept {
			wait = kept
		}
		wait.open.Add(1)
		if p.end(sessionproc.ReasonTerminated, wait.done) {
			ended++
			continue
		}
		if p.Kind.Kept && p.awaitsEnd(wait.done) {
			continue
		}
		wait.open.Add(-1)
		if p.sealed() {
			moving = append(moving, p.ID)
		}
	}
	some.done(nil)
	kept.done(nil)
	stuck := time.NewTimer(t.cfg.StopTimeout)
	defer stuck.Stop()
	select {
	case <-some.over:
	case <-stuck.C:
		t.cfg.Logger.Warn("handlers outlast the end of their sessions", "handlers", some.open.Load(),
			"after", t.cfg.StopTimeout)
	case <-ctx.Done():
		return ended, moving, ctx.Err()
	}
	select { // the ends of these are recorded after StopTimeout at the latest
	case <-kept.over:
	case <-ctx.Done():
		return ended, moving, ctx.Err()
	}
	if err := kept.failed.Load(); err != nil {
		return ended, moving, *err
	}
	return ended, moving, nil
}

// An endings waits for the ends of sessions. One more is open than these, until all are counted.
type endings struct {
	open   atomic.Int64
	over   chan struct{}
	failed atomic.Pointer[error] // why one of the ends may not survive a crash
}

func newEndings() *endings {
	w := &endings{over: make(chan struct{})}
	w.open.Store(1)
	return w
}

func (w *endings) done(err error) {
	if err != nil {
		w.failed.Store(&err)
	}
	if w.open.Add(-1) == 0 {
		close(w.over)
	}
}

func (p *process) sealed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase == phaseSealed
}
