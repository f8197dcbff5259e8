package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A Table holds the sessions that live on one node. It serves package node, which decides which
// sessions these are. A Table knows nothing of other nodes but what its config's functions tell
// it. Its methods are safe for concurrent use.
type Table struct {
	host              core.Host // must be first: see process.table
	cfg               TableConfig
	kinds             map[string]*core.Kind
	parts             []partition
	workers           workers
	wheel             *wheel // nil: no kind has sessions that expire
	clock             clock
	trace             *TableTrace // TableConfig.Trace, near the fields that each message touches
	pause             pause
	watched           atomic.Bool // see DetectStalls
	starts            starts
	stacks            stacks // of handlers that hold up a move
	born              atomic.Uint64
	places            places // sessions that count for MaxSessions, those on their way here included
	startRate         *bucket
	admission         sync.Mutex // held while limits are checked and taken, as one step
	memory            memory
	supervision       supervision
	scales            scales
	count             atomic.Int64
	marks             atomic.Int64 // entries of count that are only marks of renewed IDs
	tasks             tasks
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

// NewTable checks the kinds and returns an empty table, whose loop runs until Close. The error
// names every fault of every kind.
func NewTable(cfg TableConfig) (*Table, error) {
	t := &Table{cfg: cfg, kinds: map[string]*core.Kind{}, parts: make([]partition, cfg.Partitions),
		none: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	t.starts.max, t.trace = cfg.MaxStarting, cfg.Trace
	t.startRate = newBucket(core.LimitNodeStarts, cfg.StartRate, cfg.StartBurst)
	t.cfg.CallTimeout, t.cfg.StopTimeout = min(cfg.CallTimeout, core.Ages), min(cfg.StopTimeout, core.Ages)
	if cfg.HeapInUse == nil {
		t.cfg.HeapInUse = heapInUse
	}
	if cfg.MaxMessage == 0 {
		t.cfg.MaxMessage = math.MaxInt32
	}
	t.host = core.Host{MaxMessage: t.cfg.MaxMessage, MaxEvent: max(0, t.cfg.MaxMessage-pollRoom), Cluster: cfg.Cluster,
		Engine: t}
	var errs []error
	for _, k := range cfg.Kinds {
		if k == nil {
			errs = append(errs, errors.New("a kind is nil"))
			continue
		}
		kind := k.Core()
		if t.kinds[kind.Name] != nil {
			errs = append(errs, fmt.Errorf("two kinds are named %q", kind.Name))
		}
		t.kinds[kind.Name] = kind
		errs = append(errs, kind.Check())
		t.workers.watched = t.workers.watched || kind.Settings.SlowHandler > 0
	}
	if cfg.DefaultKind != "" && t.kinds[cfg.DefaultKind] == nil {
		errs = append(errs, fmt.Errorf("DefaultKind %q is not among the Kinds", cfg.DefaultKind))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	t.feeds = newFeeds(cfg.Cluster, t.cfg.CallTimeout, cfg.FindEnd)
	t.feeds.pause = &t.pause
	t.clock.advance()
	for _, k := range t.kinds {
		if t.wheel == nil && mayExpire(&k.Settings) {
			t.wheel = newWheel(t.clock.now.Load())
		}
	}
	t.scales.init(t.kinds, t.clock.now.Load())
	t.watchMemory()
	go t.loop()
	return t, nil
}

// Deliver delivers m to a session of this table. It returns when the session has answered or, for
// a cast, when m is in the mailbox. The error is an *OpError. Its Err is ErrOverloaded if the
// mailbox was full for too long.
func (t *Table) Deliver(ctx context.Context, part int, id string, m sessionproc.Message) error {
	return m.Deliver(ctx, &t.host, part, id)
}

// started reports whether session id exists and its start function has returned.
func (t *Table) started(part int, id string) (bool, error) {
	if why := t.PausedBy(); why != nil {
		return false, why
	}
	p, err := t.look(part, id)
	if err == sessionproc.ErrNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.worksLocked() {
		return true, nil
	}
	return p.phase == phaseLive, p.awayLocked()
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

// Resolve finds the session and the handler for a message of a token, and starts the session if
// the method says so. ctx is the ctx of the message's caller.
//
// The usual case costs one map look-up and no string comparison: the kind is bound to the very
// KindRef that made the token, so the token's index finds the binding. A token of another
// KindRef with the same name, which a test or a second copy of the contract may have, goes by
// names.
func (t *Table) Resolve(ctx context.Context, part int, id string, tok *core.Token, op core.Op) (*core.Head,
	*core.Binding, error) {
	if why := t.PausedBy(); why != nil {
		return nil, nil, why
	}
	p := t.find(part, id)
	if p == nil {
		by, err := waitingFor(ctx, id)
		if err == nil {
			p, err = t.startOnCall(part, id, tok.Kind, tok.Name, op, by)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	var b *core.Binding
	switch k := p.Kind; {
	case k.Ref == tok.Ref:
		if tok.Index < len(k.Bindings) {
			b = k.Bindings[tok.Index]
		}
	case k.Name != tok.Kind:
		return nil, nil, p.otherKind(tok.Kind)
	default:
		b = k.ByName[tok.Name]
	}
	if b == nil || b.Op != op {
		return nil, nil, p.renewedOr(t.unknownMethod(p.Kind, tok.Name, op))
	}
	return &p.Head, b, nil
}

func wrongKind(k *core.Kind, asked string) error {
	return fmt.Errorf("%w: it is a %q, not a %q", sessionproc.ErrWrongKind, k.Name, asked)
}

// loop is the one goroutine of the table that does periodic work, every tick until Close: it
// advances the clock, ends workers, expires sessions, and checks for slow handlers, the memory,
// and the sizes of states. notice comes first, so that a stall is known before any session
// expires because of it.
func (t *Table) loop() {
	defer close(t.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var watchdog watchdog
	for {
		select {
		case <-ticker.C:
		case <-t.quit:
			return
		}
		t.notice()
		before := t.clock.now.Load()
		t.clock.advance()
		t.workers.reap()
		t.watchMemory()
		watchdog.step(t)
		t.scales.step(t)
		now := t.clock.now.Load()
		t.ends.expire(now)
		t.former.expire(now)
		t.recall.sweep(time.Duration(now))
		t.expire(now, time.Duration(now-before))
	}
}

// Close ends every session at once: waiting callers get ErrClosed, the ctxs of running handlers
// are cancelled, and OnEnd is not called. Close waits for running handlers until ctx ends. The
// error says how many still run.
func (t *Table) Close(ctx context.Context) error {
	if t.closed.Swap(true) {
		<-t.done
		return nil
	}
	t.feeds.close()
	close(t.quit)
	<-t.done
	for i := range t.parts {
		t.EndPartition(i, abrupt)
	}
	ended := make(chan struct{})
	go func() { // ends when the last handler has returned
		defer close(ended)
		t.tasks.close()
		for i := range t.parts { // sessions that the tasks have brought
			t.EndPartition(i, abrupt)
		}
		t.awaitNone(context.Background())
		t.workers.close()
		t.workers.wait.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d handlers still run: %w", t.count.Load(), ctx.Err())
	}
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

// EndPartition begins the end of all sessions of a partition, does not wait for them, and returns
// how many there were. OnEnd is called for each unless the table is closed.
func (t *Table) EndPartition(part int, reason sessionproc.Reason) int {
	pt := &t.parts[part]
	pt.mu.RLock()
	all := make([]*process, 0, len(pt.m))
	for _, p := range pt.m {
		all = append(all, p)
	}
	pt.mu.RUnlock()
	n := 0
	for _, p := range all {
		if p.end(reason, nil) {
			n++
		}
	}
	return n
}

// Shutdown ends all sessions with the given reason and calls OnEnd for each. It waits for them
// until ctx ends. The error says how many are left. No session starts any more.
func (t *Table) Shutdown(ctx context.Context, reason sessionproc.Reason) error {
	t.starts.refuse()
	for i := range t.parts {
		t.EndPartition(i, reason)
	}
	if err := t.awaitNone(ctx); err != nil {
		return fmt.Errorf("%d sessions have not ended: %w", t.count.Load(), err)
	}
	return nil
}
