package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Stats is what a table tells of itself. Figures that count are since it was
// made.
type Stats struct {
	Sessions    int            // those that start or end included
	Kinds       map[string]int // by kind; those without any left out
	Waiting     int            // messages in mailboxes, and that wait for a place in them
	Queues      int            // sessions whose messages wait
	Deepest     int            // messages in the fullest mailbox
	Oldest      time.Duration  // the longest wait of a message that waits now
	Heap        int64          // what is compared with MemoryMark; 0: there is no mark
	Quarantined int            // sessions that handle nothing, because nodes that went on with them have crashed
	Starts      int64          // start functions that returned a state
	Ends        map[sessionproc.Reason]int64
	Supervision
	Copies
	Tasks     int   // that run here, or whose results are kept here
	TasksDone int64 // works that have returned here
	TasksLost int64 // results of sessions of this table that were an ErrTaskLost
	Hottest   []Hot // the busiest sessions, the busiest first
}

// Hot is a busy session.
type Hot struct {
	ID        string
	Kind      string
	PerSecond float64 // messages that it handled
}

const (
	// MaxHottest is how many of the busiest sessions Stats has.
	MaxHottest = 10

	hotWindow     = 200 * time.Millisecond // over which messages are counted
	hotRecent     = int64(time.Second)     // who was not used for so long is not looked at
	hotCandidates = 1 << 16
)

// LocalStats is Stats without the busiest sessions. It looks at no session that rests.
func (t *Table) LocalStats() Stats {
	s := Stats{Sessions: t.Len(), Kinds: t.Kinds(), Starts: t.counts.starts.Load(), Ends: t.counts.allEnds(),
		Supervision: t.Supervision(), Copies: t.Copies()}
	s.Tasks, s.TasksDone, s.TasksLost = t.runs.len(), t.runs.done.Load(), t.runs.lost.Load()
	if t.cfg.MemoryMark != 0 {
		s.Heap = t.cfg.HeapInUse()
	}
	t.scan(&s)
	return s
}

// Stats looks over all sessions. To find the busiest it counts for 0.2 s what is
// handled by those that work or were used in the last second, up to 65,536 of
// them; if there is none, or ctx ends, it does not wait.
func (t *Table) Stats(ctx context.Context) Stats {
	begun := time.Now()
	s := t.LocalStats()
	if busy := t.busy(); len(busy) > 0 {
		s.Hottest = hottest(ctx, busy, begun)
	}
	return s
}

// busy returns the sessions that work or were used lately.
func (t *Table) busy() (busy []sample) {
	for p := range t.all() {
		if len(busy) == hotCandidates {
			break
		}
		now := t.clock.now.Load()
		p.mu.Lock()
		if p.running || now-p.last.Load() < hotRecent {
			busy = append(busy, sample{p, p.handled})
		}
		p.mu.Unlock()
	}
	return busy
}

// sample is how many messages a session had handled at a moment.
type sample struct {
	p       *process
	handled uint32
}

func hottest(ctx context.Context, busy []sample, begun time.Time) (hot []Hot) {
	window := time.NewTimer(hotWindow)
	defer window.Stop()
	select {
	case <-window.C:
	case <-ctx.Done():
	}
	took := max(time.Since(begun), time.Millisecond).Seconds()
	for _, b := range busy {
		b.p.mu.Lock()
		n := b.p.handled - b.handled
		b.p.mu.Unlock()
		if n == 0 {
			continue
		}
		hot = keepHottest(append(hot, Hot{b.p.ID, b.p.Kind.Name, float64(n) / took}))
	}
	return hot
}

// keepHottest sorts sessions, the busiest first, and keeps MaxHottest of them.
func keepHottest(hot []Hot) []Hot {
	slices.SortStableFunc(hot, func(a, b Hot) int { return cmp.Compare(b.PerSecond, a.PerSecond) })
	return hot[:min(len(hot), MaxHottest)]
}
