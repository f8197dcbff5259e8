package sessionproc

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// recallFor is how long a table remembers that the sessions of a label were
	// ended: those on their way to it end when they arrive.
	recallFor = time.Minute
	// recallSlack is how much later than in truth a session that has moved may
	// seem to have started, as clocks differ.
	recallSlack = time.Second
	// maxRecalled is how many labels are remembered.
	maxRecalled = 1 << 16
)

// recall remembers the labels whose sessions were ended.
type recall struct {
	count atomic.Int32 // of m

	swept time.Duration // when, since epoch; of the table's loop

	mu sync.Mutex
	m  map[label]time.Duration // guarded by mu: when, since epoch
}

type label struct{ key, value string }

// add remembers a label whose sessions were ended at that time.
func (r *recall) add(l label, at time.Duration) error {
	now := time.Since(epoch)
	r.mu.Lock()
	defer r.mu.Unlock()
	last, again := r.m[l]
	if again && last >= at {
		return nil
	}
	if !again && len(r.m) >= maxRecalled {
		if r.forgetLocked(now); len(r.m) >= maxRecalled {
			return fmt.Errorf("%w: the sessions of %d labels were ended in the last minute", ErrOverloaded, len(r.m))
		}
	}
	if r.m == nil {
		r.m = map[label]time.Duration{}
	}
	r.m[l] = at
	r.count.Store(int32(len(r.m)))
	return nil
}

// forgetLocked forgets what is too long ago.
func (r *recall) forgetLocked(now time.Duration) {
	for l, at := range r.m {
		if now-at > recallFor {
			delete(r.m, l)
		}
	}
	r.count.Store(int32(len(r.m)))
}

// sweep forgets what is too long ago, once a second, for the table's loop.
func (r *recall) sweep(now time.Duration) {
	if ago := now - r.swept; r.count.Load() == 0 || 0 <= ago && ago < time.Second {
		return
	}
	r.swept = now
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(now)
}

// has reports whether a session of that label, which has started at begun, is to
// end.
func (r *recall) has(l label, begun time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.m[l]
	if ok && time.Since(epoch)-at > recallFor {
		delete(r.m, l)
		r.count.Store(int32(len(r.m)))
		return false
	}
	return ok && begun <= at+recallSlack
}

// recallLocked has the session end, as soon as it runs, if it was on its way when
// the sessions of one of its labels were ended.
func (p *process) recallLocked() {
	r := &p.table.recall
	if r.count.Load() == 0 || p.ext == nil || p.ext.reason != "" {
		return
	}
	for key, value := range p.ext.labels {
		if r.has(label{key, value}, time.Duration(p.begun)) {
			p.ext.reason = ReasonTerminated
			return
		}
	}
}

// Recalled is a label whose sessions were ended.
type Recalled struct {
	Key, Value string
	Ago        time.Duration
}

// Recalled returns the labels whose sessions were ended in the last minute.
func (t *Table) Recalled() (all []Recalled) {
	r := &t.recall
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(epoch)
	for l, at := range r.m {
		if now-at <= recallFor {
			all = append(all, Recalled{l.key, l.value, now - at})
		}
	}
	return all
}

// EndLabelled ends all sessions that have the label, and for a minute those that
// arrive with it and were started before. It returns when they have gone; those
// whose running handler outlasts StopTimeout are not waited for, nor is any
// longer than ctx lasts. moving are the IDs of those that are on their way to
// another node and end there, unless they come back. If others have ended theirs
// some time ago, only sessions are concerned that were started before. It does not
// wait for sessions that wait for it, by ID: for their handlers to return.
func (t *Table) EndLabelled(ctx context.Context, key, value string, ago time.Duration, waiting ...string) (ended int, moving []string, err error) {
	if key == "" || value == "" || len(key) > MaxLabelKey || len(value) > MaxLabelValue {
		return 0, nil, errLabel
	}
	at := time.Since(epoch) - ago
	if err := t.recall.add(label{key, value}, at); err != nil {
		return 0, nil, err
	}
	gone := make(chan struct{}, 1)
	var open atomic.Int64
	open.Store(1) // until all are told
	one := func() {
		if open.Add(-1) == 0 {
			gone <- struct{}{}
		}
	}
	for p := range t.all() {
		p.mu.Lock()
		has := p.hasLabelLocked(key, value) && (ago == 0 || time.Duration(p.begun) <= at+recallSlack)
		p.mu.Unlock()
		if !has {
			continue
		}
		if slices.Contains(waiting, p.id) || p.endsLabelled() {
			if p.end(ReasonTerminated, nil) || p.sealed() { // what is sealed ends where it runs on, as it is recalled
				ended++
			}
			continue
		}
		open.Add(1)
		if p.end(ReasonTerminated, one) {
			ended++
			continue
		}
		open.Add(-1)
		if p.sealed() {
			moving = append(moving, p.id)
		}
	}
	one()
	stuck := time.NewTimer(t.cfg.StopTimeout)
	defer stuck.Stop()
	select {
	case <-gone:
	case <-stuck.C:
		t.cfg.Logger.Warn("handlers outlast the end of their sessions", "handlers", open.Load(), "after", t.cfg.StopTimeout)
	case <-ctx.Done():
		return ended, moving, ctx.Err()
	}
	return ended, moving, nil
}

func (p *process) sealed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase == phaseSealed
}
