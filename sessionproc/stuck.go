package sessionproc

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// Kinds returns how many sessions of each kind there are; kinds without any are
// left out.
func (t *Table) Kinds() map[string]int {
	live := map[string]int{}
	for name, k := range t.kinds {
		if n := k.live.n.Load(); n > 0 {
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

// Interrupt cancels the ctx of the handler that a sealed session still runs, and
// returns the stack of its goroutine: "" if it has just returned. What the
// handler returns is its caller's answer, as ever.
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
		p.act = nil // the casts to come, if it resumes, get a new one
	}
	p.mu.Unlock()
	stack = t.stacks.of(p) // before it goes on
	cur.ctx.end(endedInterrupted)
	return stack
}

// stacks finds the stacks of sessions' goroutines in a dump of all, so that
// sessions need not note what runs them. A dump stops the world, so there is at
// most one a second, for all who ask.
type stacks struct {
	mu    sync.Mutex // guards what follows
	dump  []byte
	taken time.Time
}

const (
	maxDump   = 64 << 20 // bytes
	dumpEvery = time.Second
)

func (s *stacks) of(p *process) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.taken) >= dumpEvery {
		s.dump, s.taken = dumpAll(), time.Now()
		time.AfterFunc(dumpEvery, s.forget)
	}
	// A frame names its receiver: "sessionproc.(*process).run(0xc000123456, 0xc000654321)".
	// What the compiler is not sure of has a question mark.
	sure := fmt.Appendf(nil, ".(*process).run(%p, ", p)
	unsure := fmt.Appendf(nil, ".(*process).run(%p?, ", p)
	for one := range bytes.SplitSeq(s.dump, []byte("\n\n")) {
		if bytes.Contains(one, sure) || bytes.Contains(one, unsure) {
			return string(one)
		}
	}
	return ""
}

// forget lets go of the memory.
func (s *stacks) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.taken) >= dumpEvery { // else it is a later one
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
