package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/internal/loglimit"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A Table holds the sessions that live on one node. It serves package node, which decides which
// sessions these are. A Table knows nothing of other nodes but what its config's functions tell
// it. Its methods are safe for concurrent use.
type Table struct {
	host              core.Host // must be first: see process.table
	cfg               TableConfig
	log               *loglimit.Handler // behind TableConfig.Logger
	kinds             map[string]*core.Kind
	parts             []partition
	workers           workers
	wheel             *wheel // nil: no kind has sessions that expire
	clock             clock
	trace             *TableTrace // TableConfig.Trace, near the fields that each message touches
	begins            bool        // it has MessageBegun
	pause             pause
	watched           atomic.Bool // see DetectStalls
	starts            starts
	stacks            stacks // of handlers that hold up a move
	born              atomic.Uint64
	recordSeq         atomic.Uint64 // of Records
	places            places        // sessions that count for MaxSessions, those on their way here included
	startRate         *bucket
	admission         sync.Mutex // held while limits are checked and taken, as one step
	memory            memory
	supervision       supervision
	notables          notables
	scales            scales
	count             atomic.Int64
	marks             atomic.Int64 // entries of count that are only marks of renewed IDs
	goroutines        goroutines
	runs              taskRuns
	pulls             taskPulls
	ended             atomic.Pointer[predecessor] // see Succeed
	larges            larges
	arrivals          arrivals
	merged, conflicts atomic.Int64 // see Copies
	counts            counts
	recall            recall
	circles           sync.Mutex    // held while a circle of waits is broken; before a session's mu
	none              chan struct{} // capacity 1: signalled when the last session has left
	closed            atomic.Bool
	feeds             *hub
	ends              ends
	former            former
	windows           windows
	walls             walls
	quit              chan struct{} // ends the loop
	done              chan struct{} // the loop has ended
}

// A partition is the part of the table that belongs to one partition of the ring. Sessions of
// different partitions do not contend for one lock.
type partition struct {
	mu   sync.RWMutex
	m    map[string]*process // guarded by mu
	born uint64              // guarded by mu: how many sessions were ever added
}

// Feeds returns the feeds that the subscribers of this node share. It serves package node.
func (t *Table) Feeds() core.Feeds { return t.feeds }

// Len returns the number of sessions, including those that start or end.
func (t *Table) Len() int { return int(t.count.Load() - t.marks.Load()) }

// Total returns Len plus the number of marks that renewed sessions left under their old IDs.
func (t *Table) Total() int { return int(t.count.Load()) }

// MethodConfig returns the config of a method, or the zero config if this node was not given the
// kind. It serves the caller's side, for timeouts and retries.
func (t *Table) MethodConfig(kind, method string) sessionproc.MethodConfig {
	if b := t.binding(t.kinds[kind], method); b != nil {
		return sessionproc.MethodConfig(b.Settings)
	}
	return sessionproc.MethodConfig{}
}

// binding returns the binding of a method, or nil. k may be nil.
func (t *Table) binding(k *core.Kind, method string) *core.Binding {
	if k == nil {
		return nil
	}
	return k.ByName[method]
}

// Fits returns an ErrBadRequest if an encoded request of n bytes is too large. It serves package
// node, for requests to other nodes. Local requests are held to the same limit, so that a program
// does not depend on where a session lives.
func (t *Table) Fits(n int) error { return t.host.Fits(n) }

func (t *Table) tooLarge(n int) error {
	return core.TooLarge(n, t.cfg.MaxMessage)
}

func (t *Table) find(part int, id string) *process {
	pt := &t.parts[part]
	pt.mu.RLock()
	p := pt.m[id]
	pt.mu.RUnlock()
	return p
}

// leave subtracts a session from count.
func (t *Table) leave() {
	if t.count.Add(-1) == 0 {
		t.noteNone()
	}
}

// noteNone wakes one waiter of awaitNone, now or when it comes.
func (t *Table) noteNone() {
	select {
	case t.none <- struct{}{}:
	default:
	}
}

// awaitNone waits until there is no session or ctx ends. The channel holds one signal, so each
// waiter passes it on when it leaves.
func (t *Table) awaitNone(ctx context.Context) error {
	defer t.noteNone() // wake the next waiter; it rechecks the count
	for t.count.Load() > 0 {
		select {
		case <-t.none:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// findLocked returns a session with its mu locked, or nil. It looks again if the session was
// replaced by another copy between the look-up and the lock.
func (t *Table) findLocked(part int, id string) *process {
	for {
		p := t.find(part, id)
		if p == nil {
			return nil
		}
		p.mu.Lock()
		if p.ext == nil || !p.ext.replaced {
			return p
		}
		p.mu.Unlock()
	}
}
