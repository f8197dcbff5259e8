package engine

import (
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Supervision counts failures of users' code since the node started.
type Supervision struct {
	Crashes  int64 // crashes of sessions, including failed restarts
	Restarts int64 // see KindConfig.Restart
	Slow     int64 // handlers that took longer than KindConfig.SlowHandler
	Large    int64 // sessions whose state was found larger than KindConfig.WarnState
}

type supervision struct{ crashes, restarts, slow, large atomic.Int64 }

// Supervision returns the counts.
func (t *Table) Supervision() Supervision {
	s := &t.supervision
	return Supervision{s.crashes.Load(), s.restarts.Load(), s.slow.Load(), s.large.Load()}
}

// watchEvery is the interval between two checks of the running handlers.
const watchEvery = 100 * time.Millisecond

// A watchdog finds handlers that run for long. The table's loop checks what the workers run, so a
// message costs nothing more.
type watchdog struct {
	last int64 // time of the last check, by the coarse clock; 0: none yet
	seen map[*process]sighting
}

// A sighting is a running handler that a check has seen. It holds the message, so that no other
// message can be allocated at that address; a pooled message that is used again has another
// generation.
type sighting struct {
	e          *core.Envelope
	generation uint64
	since      int64
	warned     bool
}

// step checks all running handlers.
func (w *watchdog) step(t *Table) {
	now := t.clock.now.Load()
	if !t.workers.watched || w.last != 0 && now-w.last < int64(watchEvery) {
		return
	}
	w.last = now
	before := w.seen
	w.seen = nil
	for _, p := range t.workers.running() {
		p.mu.Lock()
		cur := p.curLocked()
		p.mu.Unlock()
		if _, again := w.seen[p]; again || cur.e == nil {
			continue
		}
		s, ok := before[p]
		if !ok || s.e != cur.e || s.generation != cur.generation {
			s = sighting{cur.e, cur.generation, now, false}
		}
		if limit := p.Kind.Settings.SlowHandler; !s.warned && now-s.since >= int64(limit) {
			s.warned = p.warnSlow(s.generation, time.Duration(now-s.since), limit)
		}
		put(&w.seen, p, s)
	}
}

// warnSlow logs the handler that p runs, with its stack. If the last dump of stacks is too
// old to show the handler, warnSlow reports false and the next check tries again.
func (p *process) warnSlow(generation uint64, runs, limit time.Duration) (warned bool) {
	stack := p.table().stacks.of(p)
	if stack == "" && runs < limit+2*dumpEvery {
		return false
	}
	p.table().supervision.slow.Add(1)
	method := ""
	p.mu.Lock()
	if p.cur != nil && p.cur.generation == generation {
		method = methodOf(p.cur)
	}
	p.mu.Unlock()
	p.logger().Warn("a handler is slow", "method", method, "runs", runs, "limit", limit, "stack", stack)
	return true
}
