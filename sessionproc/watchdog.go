package sessionproc

import (
	"sync/atomic"
	"time"
)

// Supervision counts, since the node started, what went wrong in users' code.
type Supervision struct {
	Crashes  int64 // of sessions, failed restarts included
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

// watchEvery is how often running handlers are looked at.
const watchEvery = 100 * time.Millisecond

// watchdog finds handlers that take long. It sees what workers run, from the
// table's loop, so that messages pay nothing for it.
type watchdog struct {
	last int64 // when it looked, by the coarse clock; 0: never
	seen map[*process]sighting
}

// sighting is a handler that was seen. It holds the message, so that no other
// one can have its address meanwhile.
type sighting struct {
	e          *envelope
	generation uint64
	since      int64
	warned     bool
}

// step looks at all handlers that run.
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
		if limit := p.kind.cfg.SlowHandler; !s.warned && now-s.since >= int64(limit) {
			s.warned = p.warnSlow(s.generation, time.Duration(now-s.since), limit)
		}
		put(&w.seen, p, s)
	}
}

// warnSlow warns of the handler that p runs. Dumps of stacks are rare: if the last
// one does not show it the next one will. warned: it need not be said again.
func (p *process) warnSlow(generation uint64, runs, limit time.Duration) (warned bool) {
	stack := p.table.stacks.of(p)
	if stack == "" && runs < limit+2*dumpEvery {
		return false
	}
	p.table.supervision.slow.Add(1)
	method := ""
	p.mu.Lock()
	if p.cur != nil && p.cur.generation == generation {
		method = methodOf(p.cur)
	}
	p.mu.Unlock()
	p.logger().Warn("a handler is slow", "method", method, "runs", runs, "limit", limit, "stack", stack)
	return true
}

func put[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = value
}
