package engine

import (
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// places counts sessions, within a limit.
type places struct{ n atomic.Int64 }

// full returns the error of who finds no place; most 0: there is no limit.
func (p *places) full(limit string, most int) error {
	if most > 0 && p.n.Load() >= int64(most) {
		return &sessionproc.LimitError{Limit: limit, Max: int64(most)}
	}
	return nil
}

// A kindState is what a table has of a kind.
type kindState struct {
	live   places
	starts *bucket
}

func stateOfKind(k *core.Kind) *kindState {
	k.Once.Do(func() {
		k.Engine = &kindState{starts: newBucket(core.LimitKindStarts, k.Settings.StartRate, k.Settings.StartBurst)}
	})
	return k.Engine.(*kindState)
}

// admit counts one session more, within MaxSessions of the kind and of the node. Where
// there is a limit, one session is decided about at a time: one that is refused takes
// nothing from the others, not even for a moment.
func (t *Table) admit(k *core.Kind) error {
	if t.cfg.MaxSessions == 0 && k.Settings.MaxSessions == 0 {
		t.occupy(k)
		return nil
	}
	t.admission.Lock()
	defer t.admission.Unlock()
	if err := t.full(k); err != nil {
		return err
	}
	t.occupy(k)
	return nil
}

func (t *Table) full(k *core.Kind) error {
	if err := stateOfKind(k).live.full(core.LimitKindSessions, k.Settings.MaxSessions); err != nil {
		return err
	}
	return t.places.full(core.LimitNodeSessions, t.cfg.MaxSessions)
}

func (t *Table) occupy(k *core.Kind) {
	stateOfKind(k).live.n.Add(1)
	t.places.n.Add(1)
}

// admitAnyway counts one session more that needs no place, as there is no session more
// by it: one that gets another ID, as who logs in must not be refused because all
// places are taken, and a copy of one that is here.
func (t *Table) admitAnyway(k *core.Kind) error {
	t.occupy(k)
	return nil
}

// release counts one session less.
func (t *Table) release(k *core.Kind) {
	stateOfKind(k).live.n.Add(-1)
	t.places.n.Add(-1)
}

// admitNew is admit for a session that starts: it heeds memory and rates too.
func (t *Table) admitNew(k *core.Kind) error {
	if err := t.OverMemory(); err != nil {
		return err
	}
	if stateOfKind(k).starts == nil && t.startRate == nil {
		return t.admit(k)
	}
	t.admission.Lock()
	defer t.admission.Unlock()
	if err := t.full(k); err != nil {
		return err
	}
	if err := takeBoth(stateOfKind(k).starts, t.startRate); err != nil {
		return err
	}
	t.occupy(k)
	return nil
}

// neverStarted gives back what the rates have for a session whose start function was
// not run.
func (t *Table) neverStarted(k *core.Kind) {
	stateOfKind(k).starts.giveBack()
	t.startRate.giveBack()
}

// memory compares the heap with MemoryMark.
type memory struct {
	over atomic.Pointer[sessionproc.LimitError] // nil: it is below
	last time.Time                              // of the loop
}

const memoryEvery = time.Second

// OverMemory returns the *LimitError that starts get because the heap was above
// MemoryMark when it was looked at last, and nil if it was not. Package node
// refuses hand-overs with it.
func (t *Table) OverMemory() error {
	if over := t.memory.over.Load(); over != nil {
		return over
	}
	return nil
}

// watchMemory looks at the heap once a second, for the table's loop.
func (t *Table) watchMemory() {
	mark := t.cfg.MemoryMark
	if mark == 0 || time.Since(t.memory.last) < memoryEvery {
		return
	}
	t.memory.last = time.Now()
	used := t.cfg.HeapInUse()
	was := t.memory.over.Load() != nil
	switch over := used > mark; {
	case over && !was:
		t.memory.over.Store(&sessionproc.LimitError{Limit: core.LimitMemory, Max: mark, RetryAfter: memoryEvery})
		t.cfg.Logger.Warn("the heap is above MemoryMark: starts and sessions of other nodes are refused", "bytes", used,
			"mark", mark)
	case !over && was:
		t.memory.over.Store(nil)
		t.cfg.Logger.Info("the heap is below MemoryMark again", "bytes", used, "mark", mark)
	}
}

// heapInUse is what the last garbage collection found in use.
func heapInUse() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// pace sets up the message rate of a new session.
func (p *process) pace() {
	if cfg := &p.Kind.Settings; cfg.MessageRate > 0 {
		p.extra().messages = newBucket(core.LimitMessages, cfg.MessageRate, cfg.MessageBurst)
		p.paced = true
	}
}

// maxStateOf is the largest encoded state of the kind.
func maxStateOf(k *core.Kind) int {
	if k.Settings.MaxState > 0 {
		return k.Settings.MaxState
	}
	return core.MaxState
}

// StartsRefused says why sessions cannot be started here just now, by kind; of "" no session can.
func (t *Table) StartsRefused() map[string]error {
	if err := t.OverMemory(); err != nil {
		return map[string]error{"": err}
	}
	if err := t.places.full(core.LimitNodeSessions, t.cfg.MaxSessions); err != nil {
		return map[string]error{"": err}
	}
	var refused map[string]error
	for name, k := range t.kinds {
		if err := t.full(k); err != nil {
			put(&refused, name, err)
		}
	}
	return refused
}

// HasRoom reports whether a session of a kind could come from another node just now. It
// serves package node.
func (t *Table) HasRoom(kind string) bool {
	k := t.kinds[kind]
	return k != nil && t.OverMemory() == nil && t.full(k) == nil
}
