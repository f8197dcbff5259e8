package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// TableConfig configures a Table. Package node makes it of its own Config.
type TableConfig struct {
	Node        string // its name in errors; "": this node
	Partitions  int    // of the ring
	Boot        uint64
	Kinds       []AnyKind
	DefaultKind string // for starts that name none
	CallTimeout time.Duration
	StopTimeout time.Duration
	MaxStarting int
	MaxSessions int   // 0: no bound
	StartRate   int   // per second; 0: no bound
	StartBurst  int   // 0: StartRate
	MemoryMark  int64 // bytes; 0: none
	// what MemoryMark is compared with; nil: the heap that the last garbage collection found in
	// use
	HeapInUse  func() int64
	MaxMessage int    // bytes of an encoded request or reply; 0: no bound
	Cluster    Caller // for Session.Cluster
	// FindEnd has Table.LookupEnd asked on all nodes, with these arguments, and returns what
	// the first one says that knows of the end; nil: none does. lives: one has that life
	// of the session. nil: none is asked.
	FindEnd func(ctx context.Context, id, event string, poll []byte) (news []byte, lives bool)
	Gate    Gate // nil: every session may be here
	// Member is the node's name among the members, and FetchLarge gets the snapshot of
	// so many bytes that another one keeps under a key (Table.Large), in parts. nil: a
	// session that does not fit into a message is not renewed.
	Member     string
	FetchLarge func(ctx context.Context, member string, key []byte, size int) ([]byte, error)
	// Moving is what a request gets whose session is away for a moment: Cluster
	// tries again. nil: ErrUnavailable.
	Moving error
	// OnStall is called, while Watch is on, after the whole process has stood still for more than
	// StallAfter (a paused virtual machine, SIGSTOP, a machine that slept), before another message is
	// handled, maybe more than once and concurrently. It must not block; it may
	// Pause.
	OnStall    func(gap time.Duration)
	StallAfter time.Duration
	Logger     *slog.Logger
	Inject     func(context.Context) []byte
	Extract    func(context.Context, []byte) context.Context
	Trace      *TableTrace // nil: none
}

// Table holds the sessions that live on one node. It serves package node, which
// decides what sessions those are; it knows nothing of other nodes. Its methods
// are safe for concurrent use.
type Table struct {
	cfg               TableConfig
	kinds             map[string]*kindCore
	parts             []partition
	workers           workers
	wheel             *wheel // nil: no kind has sessions that expire
	clock             clock
	trace             *TableTrace // TableConfig.Trace, beside what a message touches anyway
	pause             pause
	watched           atomic.Bool // see Watch
	starts            starts
	stacks            stacks // of handlers that hold up a move
	born              atomic.Uint64
	places            places // sessions within MaxSessions, those that come included
	startRate         *bucket
	admission         sync.Mutex // held while limits are compared and taken
	memory            memory
	supervision       supervision
	scales            scales
	count             atomic.Int64
	marks             atomic.Int64 // of count, those that have been renewed
	tasks             tasks
	ended             atomic.Pointer[predecessor] // see Succeed
	larges            larges
	arrivals          arrivals
	merged, conflicts atomic.Int64 // see Copies
	counts            counts
	recall            recall
	none              chan struct{} // cap 1: signalled when the last session has gone
	closed            atomic.Bool
	feeds             *Feeds
	ends              ends
	former            former
	quit              chan struct{} // ends the loop
	done              chan struct{} // the loop has ended

	detached *Detached // whose table this is; nil: a real one
}

// partition is the part of the table that one partition of the ring has.
type partition struct {
	mu   sync.RWMutex
	m    map[string]*process // guarded by mu
	born uint64              // guarded by mu: how many were ever put there
}

// NewTable checks the kinds and makes an empty table. The error names every
// fault of every kind.
func NewTable(cfg TableConfig) (*Table, error) {
	t := &Table{cfg: cfg, kinds: map[string]*kindCore{}, parts: make([]partition, cfg.Partitions),
		none: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	t.starts.max, t.trace = cfg.MaxStarting, cfg.Trace
	t.startRate = newBucket(limitNodeStarts, cfg.StartRate, cfg.StartBurst)
	t.cfg.CallTimeout, t.cfg.StopTimeout = min(cfg.CallTimeout, ages), min(cfg.StopTimeout, ages)
	if cfg.HeapInUse == nil {
		t.cfg.HeapInUse = heapInUse
	}
	if cfg.MaxMessage == 0 {
		t.cfg.MaxMessage = math.MaxInt32
	}
	var errs []error
	for _, k := range cfg.Kinds {
		if k == nil {
			errs = append(errs, errors.New("a kind is nil"))
			continue
		}
		core := k.core()
		if t.kinds[core.name] != nil {
			errs = append(errs, fmt.Errorf("two kinds are named %q", core.name))
		}
		t.kinds[core.name] = core
		errs = append(errs, core.check())
		t.workers.watched = t.workers.watched || core.cfg.SlowHandler > 0
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
		if t.wheel == nil && k.cfg.mayExpire() {
			t.wheel = newWheel(t.clock.now.Load())
		}
	}
	t.scales.init(t.kinds, t.clock.now.Load())
	t.watchMemory()
	go t.loop()
	return t, nil
}

// Deliver takes m to a session of this table and returns when it has been dealt
// with. The error is an *OpError; Err is ErrOverloaded if the mailbox is full.
func (t *Table) Deliver(ctx context.Context, part int, id string, m Message) error {
	return m.deliver(ctx, t, part, id)
}

// started reports whether session id is there and its start function has
// returned.
func (t *Table) started(part int, id string) (bool, error) {
	if why := t.PausedBy(); why != nil {
		return false, why
	}
	p, err := t.look(part, id)
	if err == ErrNotFound {
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

// Feeds returns what the subscribers of this node share. It serves package node.
func (t *Table) Feeds() *Feeds { return t.feeds }

// Len returns how many sessions there are, those that start or end included.
func (t *Table) Len() int { return int(t.count.Load() - t.marks.Load()) }

// Total is Len, and the marks of sessions that have been renewed.
func (t *Table) Total() int { return int(t.count.Load()) }

// MethodConfig returns what the kind, if this node was given it, says of a
// method. It serves the caller's side: timeouts and repetitions.
func (t *Table) MethodConfig(kind, method string) MethodConfig {
	if b := t.binding(t.kinds[kind], method); b != nil {
		return b.cfg
	}
	return MethodConfig{}
}

func (t *Table) binding(k *kindCore, method string) *binding {
	if k == nil {
		return nil
	}
	return k.byName[method]
}

func (b *binding) timeout(otherwise time.Duration) time.Duration {
	if b != nil && b.cfg.Timeout > 0 {
		return b.cfg.Timeout
	}
	return otherwise
}

// Fits returns ErrBadRequest if an encoded request of n bytes is too large. It
// serves package node, for requests to other nodes: a local one fails likewise.
func (t *Table) Fits(n int) error {
	if n > t.cfg.MaxMessage {
		return badRequest{t.tooLarge(n)}
	}
	return nil
}

func (t *Table) tooLarge(n int) error {
	return tooLarge(n, t.cfg.MaxMessage)
}

// tooLarge says that n encoded bytes do not fit into a message.
func tooLarge(n, most int) error {
	return fmt.Errorf("%d bytes, the limit is %d (Config.MaxFrame, less what else is in a message)", n, most)
}

func (t *Table) find(part int, id string) *process {
	pt := &t.parts[part]
	pt.mu.RLock()
	p := pt.m[id]
	pt.mu.RUnlock()
	return p
}

// resolve finds the session and the handler for a message of a token. ctx is that of
// who waits for the message.
func (t *Table) resolve(ctx context.Context, part int, id string, tok *token, op Op) (*process, *binding, error) {
	if why := t.PausedBy(); why != nil {
		return nil, nil, why
	}
	p := t.find(part, id)
	if p == nil {
		by, err := waitingFor(ctx, id)
		if err == nil {
			p, err = t.startOnCall(part, id, tok.kind, tok.name, op, by)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	var b *binding
	switch k := p.kind; {
	case k.ref == tok.ref:
		if tok.index < len(k.bindings) {
			b = k.bindings[tok.index]
		}
	case k.name != tok.kind:
		return nil, nil, p.otherKind(tok.kind)
	default:
		b = k.byName[tok.name]
	}
	if b == nil || b.op != op {
		return nil, nil, p.renewedOr(t.unknownMethod(p.kind, tok.name, op))
	}
	return p, b, nil
}

func wrongKind(k *kindCore, asked string) error {
	return fmt.Errorf("%w: it is a %q, not a %q", ErrWrongKind, k.name, asked)
}

// loop advances the clock, ends workers, expires sessions, and looks for slow
// handlers, at the memory and at the sizes of states, until Close.
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

// Close ends every session at once: waiting callers get ErrClosed, running
// handlers' ctxs are cancelled, OnEnd is not called. It waits for
// running handlers until ctx ends; the error tells how many still run.
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
	go func() { // ends with the last handler
		defer close(ended)
		t.tasks.close()
		for i := range t.parts { // what they have brought
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

// leave counts one session less.
func (t *Table) leave() {
	if t.count.Add(-1) == 0 {
		t.noteNone()
	}
}

func (t *Table) noteNone() {
	select {
	case t.none <- struct{}{}:
	default:
	}
}

// awaitNone waits until there is no session or ctx ends.
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

// EndPartition ends all sessions of a partition without waiting for them, and
// returns how many. OnEnd is called for each.
func (t *Table) EndPartition(part int, reason Reason) int {
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

// Shutdown ends all sessions with the given reason, OnEnd called for each,
// and waits for them until ctx ends; the error tells how many are left.
func (t *Table) Shutdown(ctx context.Context, reason Reason) error {
	t.starts.refuse()
	for i := range t.parts {
		t.EndPartition(i, reason)
	}
	if err := t.awaitNone(ctx); err != nil {
		return fmt.Errorf("%d sessions have not ended: %w", t.count.Load(), err)
	}
	return nil
}
