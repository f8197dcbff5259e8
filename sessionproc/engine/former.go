package engine

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// former remembers the ends of sessions of which other nodes may have copies: sessions that came
// from another node, and those of which a snapshot was taken. Package node keeps tombstones only
// while other members hold something of the partition. But a copy can return later, when a network
// cut heals or from a backup. Then former knows what of the copy has ended, and that a session
// started again under the ID is another life.
type former struct {
	any atomic.Bool // m is not empty; lets a start look without taking mu

	mu    sync.Mutex
	m     map[string]*grave // guarded by mu; by session ID
	order fifo[*grave]      // guarded by mu
	bytes int               // guarded by mu
}

// A grave is the remembered end of a session.
type grave struct {
	id        string
	tombstone Version
	at        int64 // since epoch
	yielded   bool  // to another copy, which goes on
}

// The bounds of former. A copy that returns after its grave was forgotten counts as one that was
// started independently of the present session.
const (
	formerFor   = 60 * endsFor
	maxFormer   = 64 << 10
	formerBytes = 16 << 20
)

// size returns about how many bytes of memory g takes.
func (g *grave) size() int { return 128 + len(g.id) + 24*len(g.tombstone) }

// add remembers g and forgets the oldest graves beyond the bounds.
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

// forgetLocked forgets the oldest grave. A later grave of the same ID stays in m.
func (f *former) forgetLocked() {
	g := f.order.pop()
	f.bytes -= g.size()
	if f.m[g.id] == g {
		delete(f.m, g.id)
	}
}

// find returns the tombstone of a session that ended here, or nil.
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

// expire forgets graves older than formerFor.
func (f *former) expire(now int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.order.len() > 0 && now-f.order.first().at > int64(formerFor) {
		f.forgetLocked()
	}
	f.any.Store(f.order.len() > 0)
}

// Former returns the tombstone of session id if it ended here while copies of it could be
// elsewhere, or nil if no such end is remembered. It serves package node.
func (t *Table) Former(id string) Version { return t.former.find(id) }

// Remember has the table know of the end of session id elsewhere, as if it had ended here, for as long as
// it remembers such ends: Former returns it, and a session that is started under the ID succeeds it.
// It serves package node, for a tombstone that came as a standby.
func (t *Table) Remember(id string, tombstone Version) {
	if known := t.former.find(id); known != nil {
		if known.Includes(tombstone) {
			return
		}
		tombstone = known.Join(tombstone)
	}
	t.former.add(&grave{id: strings.Clone(id), tombstone: tombstone, at: t.clock.now.Load()})
}

// bury removes an ended session from the table, and first remembers its end if there may be copies
// of it. In the other order a start in between would not know its predecessor.
func (p *process) bury() {
	p.mu.Lock()
	copied := p.arrivalLocked().came != 0 || p.ext != nil && p.ext.copied
	known := copied && !p.table().closed.Load()
	var g *grave
	if known {
		g = &grave{p.ID, p.tombstoneLocked(), p.table().clock.now.Load(), p.yieldsLocked()}
	}
	p.mu.Unlock()
	if known {
		p.table().former.add(g)
	}
	p.remove()
}

// yieldsLocked reports whether a session that ends does so for another copy to go on, or
// may do so.
func (p *process) yieldsLocked() bool {
	if p.ext == nil {
		return false
	}
	switch p.ext.reason {
	case sessionproc.ReasonLost, sessionproc.ReasonConflict, sessionproc.ReasonMoved, sessionproc.ReasonClosed,
		sessionproc.ReasonRenewed, abrupt:
		return true
	}
	return p.ext.moved || p.ext.renewed != nil
}

// EachFormer calls each with what Former knows of the sessions that ended lately and of which
// nothing goes on, the latest first. It serves package node.
func (t *Table) EachFormer(lately time.Duration, each func(id string, tombstone Version)) {
	f, from := &t.former, int64(time.Since(core.Epoch)-lately)
	if !f.any.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := f.order.len() - 1; i >= 0; i-- {
		g := f.order.items[f.order.head+i]
		if g.at < from {
			break
		}
		if f.m[g.id] == g && !g.yielded {
			each(g.id, g.tombstone)
		}
	}
}

// predecessor returns what a session that starts under an ID must have seen: the ends of earlier
// sessions of the ID. It returns nil if none is known.
func (t *Table) predecessor(id string) (v Version) {
	if end := t.ended.Load(); end != nil && end.id == id {
		v = end.version
	}
	if tombstone := t.former.find(id); tombstone != nil {
		v = v.Join(tombstone)
	}
	return v
}
