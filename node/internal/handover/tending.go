package handover

import (
	"sync"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// A tending is the work of the goroutine that looks after the replicated sessions when not they have changed, but
// the members.
type tending struct {
	wake  chan struct{} // capacity 1
	retry atomic.Bool   // a member keeps no standbys for the moment
	full  atomic.Bool   // a member had no room

	mu     sync.Mutex      // guards the rest
	parts  map[int]bool    // or of all, with NoPartition
	next   map[int]bool    // with the next tick
	broken map[string]bool // members that will not answer what they were told
}

// due notes that the sessions of a partition, or of all of them, are to be looked after.
func (g *tending) due(part int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.parts == nil {
		g.parts = map[int]bool{}
	}
	g.parts[part] = true
	lifetime.Signal(g.wake)
}

// soon is due, but waits a moment: what was refused now is refused again if nothing changes.
func (g *tending) soon(part int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = map[int]bool{}
	}
	g.next[part] = true
}

// tick makes due what was to be so soon.
func (g *tending) tick() {
	g.mu.Lock()
	next := g.next
	g.next = nil
	g.mu.Unlock()
	for part := range next {
		g.due(part)
	}
}

// breaks notes that a member will not answer what it was told, or had no room for more of it.
func (g *tending) breaks(member string) {
	g.mu.Lock()
	put(&g.broken, member, true)
	g.mu.Unlock()
	g.due(ownership.NoPartition)
}

func (g *tending) take() (parts map[int]bool, broken map[string]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	parts, broken = g.parts, g.broken
	g.parts, g.broken = nil, nil
	return parts, broken
}
