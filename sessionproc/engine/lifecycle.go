package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/sessionproc/sessionproc/internal/loglimit"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// NewTable checks the kinds and returns an empty table, whose loop runs until Close. The error
// names every fault of every kind.
func NewTable(cfg TableConfig) (*Table, error) {
	t := &Table{cfg: cfg, kinds: map[string]*core.Kind{}, parts: make([]partition, cfg.Partitions),
		none: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	t.starts.max, t.trace = cfg.MaxStarting, cfg.Trace
	t.log = loglimit.Wrap(cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)).Handler())
	t.cfg.Logger = slog.New(t.log)
	t.begins = cfg.Trace != nil && cfg.Trace.MessageBegun != nil
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
		t.keepsRecords(kind)
		t.workers.watched = t.workers.watched || kind.Settings.SlowHandler > 0
	}
	if cfg.DefaultKind != "" && t.kinds[cfg.DefaultKind] == nil {
		errs = append(errs, fmt.Errorf("DefaultKind %q is not among the Kinds", cfg.DefaultKind))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	t.runs.begin(t)
	t.pulls.begin(t)
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
		t.windows.expire(now)
		t.recall.sweep(time.Duration(now))
		t.runs.sweep(now)
		t.walls.step(t)
		if now/scanEvery != before/scanEvery {
			t.scan(new(Stats))
		}
		t.expire(now, time.Duration(now-before))
	}
}

// Close ends every session at once: waiting callers get ErrClosed, the ctxs of running handlers
// and tasks are cancelled, and OnEnd is not called. Close waits for running handlers and tasks until ctx ends. The
// error says how many still run.
func (t *Table) Close(ctx context.Context) error {
	if t.closed.Swap(true) {
		<-t.done
		return nil
	}
	t.feeds.close()
	t.pulls.close()
	close(t.quit)
	<-t.done
	for i := range t.parts {
		t.EndPartition(i, abrupt)
	}
	t.runs.close()
	ended := make(chan struct{})
	go func() { // ends when the last handler has returned
		defer close(ended)
		t.goroutines.close()
		t.runs.wait.Wait()
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

// Unpause ends a Pause. Timers that were due fire before messages are handled.
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
