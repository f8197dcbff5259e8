package sessionproc

import (
	"sync"
	"sync/atomic"
)

// former remembers how sessions have ended here of which copies may be elsewhere: those
// that came from another node, or whose snapshot was taken. The node keeps tombstones
// only while its partition has something at other members; a copy can come back later,
// when a cut heals, or of a backup. Then this tells what of it has ended, and a session
// that is started anew under the ID is known to be another life.
type former struct {
	any atomic.Bool // it has remembered something: a start looks without the lock

	mu    sync.Mutex
	m     map[string]*grave // guarded by mu; by session ID
	order fifo[*grave]      // guarded by mu
	bytes int               // guarded by mu
}

// grave is the end of a session that is remembered.
type grave struct {
	id        string
	tombstone Version
	at        int64 // since epoch
}

// Bounds of what is remembered of ended sessions. A copy that comes back later counts as
// one that was started beside the present session.
const (
	formerFor   = 60 * endsFor
	maxFormer   = 64 << 10
	formerBytes = 16 << 20
)

// size is about how many bytes of memory it takes.
func (g *grave) size() int { return 128 + len(g.id) + 24*len(g.tombstone) }

func (f *former) add(g *grave) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.any.Store(true)
	put(&f.m, g.id, g)
	f.order.push(g)
	f.bytes += g.size()
	for f.order.len() > maxFormer || f.bytes > formerBytes {
		f.forgetLocked()
	}
}

func (f *former) forgetLocked() {
	g := f.order.pop()
	f.bytes -= g.size()
	if f.m[g.id] == g {
		delete(f.m, g.id)
	}
}

// find returns the tombstone of a session that has ended here; nil: none is known.
func (f *former) find(id string) Version {
	if !f.any.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if g := f.m[id]; g != nil {
		return g.tombstone
	}
	return nil
}

// expire forgets what is too long ago.
func (f *former) expire(now int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.order.len() > 0 && now-f.order.first().at > int64(formerFor) {
		f.forgetLocked()
	}
	f.any.Store(f.order.len() > 0)
}

// Former returns the tombstone of session id, if it has ended here while copies of it
// could be elsewhere; nil: it has not, as far as is remembered. It serves package node.
func (t *Table) Former(id string) Version { return t.former.find(id) }

// bury takes a session that has ended out of the table, and remembers that if there may
// be copies of it.
func (p *process) bury() {
	p.mu.Lock()
	copied := p.arrivalLocked().came != 0 || p.ext != nil && p.ext.copied
	known := copied && !p.table.closed.Load()
	var g *grave
	if known {
		g = &grave{p.id, p.tombstoneLocked(), p.table.clock.now.Load()}
	}
	p.mu.Unlock()
	if known {
		p.table.former.add(g)
	}
	p.remove()
}

// predecessor returns what a session that is to start under an ID has to have seen: the
// ends of those that had it before. nil: none is known.
func (t *Table) predecessor(id string) (v Version) {
	if end := t.ended.Load(); end != nil && end.id == id {
		v = end.version
	}
	if tombstone := t.former.find(id); tombstone != nil {
		v = v.Join(tombstone)
	}
	return v
}
