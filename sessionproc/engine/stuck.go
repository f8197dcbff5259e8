package engine

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Kinds returns the number of sessions of each kind. It leaves out kinds without sessions.
func (t *Table) Kinds() map[string]int {
	live := map[string]int{}
	for name, k := range t.kinds {
		if n := stateOfKind(k).live.n.Load(); n > 0 {
			live[name] = int(n)
		}
	}
	return live
}

// Handles reports whether a sealed session still runs a handler.
func (t *Table) Handles(part int, id string) bool {
	p := t.find(part, id)
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase == phaseSealed && p.curLocked().e != nil
}

// Interrupt cancels the ctx of the handler that a sealed session still runs, and returns the stack
// of its goroutine, or "" if the handler has just returned. The result of the handler still goes to
// its caller.
func (t *Table) Interrupt(part int, id string) (stack string) {
	p := t.find(part, id)
	if p == nil {
		return ""
	}
	p.mu.Lock()
	cur := p.curLocked()
	if p.phase != phaseSealed || cur.e == nil {
		p.mu.Unlock()
		return ""
	}
	if cur.ctx == p.act {
		p.act = nil // if the session resumes, later casts get a new ctx
	}
	p.mu.Unlock()
	stack = t.stacks.of(p) // before the handler goes on
	cur.ctx.End(core.EndedInterrupted)
	return stack
}

// Stack returns the stack of the goroutine that runs a handler or start function of a session, or "" if none runs.
// It may take a second, as the stacks of all goroutines are looked at once a second.
func (t *Table) Stack(ctx context.Context, part int, id string) (stack string) {
	for range 2 {
		p := t.find(part, id)
		if p == nil {
			return ""
		}
		p.mu.Lock()
		busy := p.cur != nil
		p.mu.Unlock()
		if !busy {
			return ""
		}
		if stack = t.stacks.of(p); stack != "" {
			return stack
		}
		select { // the dump is older than the handler
		case <-time.After(dumpEvery):
		case <-ctx.Done():
			return ""
		}
	}
	return ""
}

// stacks finds the stack of a session's goroutine in a dump of all goroutines, so that sessions need
// not record which goroutine runs them. A dump stops the world, so there is at most one a second,
// and callers share it.
type stacks struct {
	mu    sync.Mutex // guards what follows
	dump  []byte
	taken time.Time
}

const (
	maxDump   = 64 << 20 // bytes
	dumpEvery = time.Second
)

// of returns the stack of the goroutine that runs p, or "" if the dump does not show one.
func (s *stacks) of(p *process) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.taken) >= dumpEvery {
		s.dump, s.taken = dumpAll(), time.Now()
		time.AfterFunc(dumpEvery, s.forget)
	}
	// A frame names its receiver: "sessionproc.(*process).run(0xc000123456, 0xc000654321)".
	// The runtime adds a question mark if the value may be stale.
	sure := fmt.Appendf(nil, ".(*process).run(%p, ", p)
	unsure := fmt.Appendf(nil, ".(*process).run(%p?, ", p)
	for one := range bytes.SplitSeq(s.dump, []byte("\n\n")) {
		if bytes.Contains(one, sure) || bytes.Contains(one, unsure) {
			return string(one)
		}
	}
	return ""
}

// forget frees the dump.
func (s *stacks) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.taken) >= dumpEvery { // otherwise the dump is a later one
		s.dump = nil
	}
}

func dumpAll() []byte {
	for size := 1 << 20; ; size *= 4 {
		b := make([]byte, size)
		if n := runtime.Stack(b, true); n < size || size >= maxDump {
			return b[:n]
		}
	}
}
