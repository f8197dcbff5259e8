package engine

import (
	"time"
	"unsafe"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// LiveWorkers returns how many parked goroutines the table has.
func (t *Table) LiveWorkers() int { return int(t.workers.live.Load()) }

// Starts returns how many start functions hold a place, and how many wait.
func (t *Table) Starts() (running, queued int) {
	t.starts.mu.Lock()
	defer t.starts.mu.Unlock()
	return t.starts.running, t.starts.queue.len()
}

// Live returns how many sessions are counted for a kind.
func (t *Table) Live(kind string) int { return int(stateOfKind(t.kinds[kind]).live.n.Load()) }

// Entries returns how many sessions can be found.
func (t *Table) Entries() (n int) {
	for i := range t.parts {
		t.parts[i].mu.RLock()
		n += len(t.parts[i].m)
		t.parts[i].mu.RUnlock()
	}
	return n
}

// Expiring returns how many sessions are in the wheel.
func (t *Table) Expiring() (n int) {
	t.wheel.mu.Lock()
	defer t.wheel.mu.Unlock()
	for _, e := range t.wheel.slots {
		for ; e != nil; e = e.next {
			n++
		}
	}
	return n
}

// RecalledLabels returns how many labels are remembered whose sessions were ended.
func (t *Table) RecalledLabels() int {
	t.recall.mu.Lock()
	defer t.recall.mu.Unlock()
	return len(t.recall.m)
}

// ArmedTimers stops a session's timers and returns how many of them were to fire.
func (t *Table) ArmedTimers(part int, id string) (n int) {
	p := t.find(part, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, tm := range p.timersLocked(time.Now()) {
		if tm.t != nil && tm.t.Stop() {
			n++
		}
	}
	return n
}

// Sleep has the machine have slept: the wall's clock is set on, the monotonic one
// stood still.
func (t *Table) Sleep(d time.Duration) { t.clock.slept.Add(int64(d)) }

// LargesKept returns how many snapshots are kept for owners of new IDs.
func (t *Table) LargesKept() int {
	t.larges.mu.Lock()
	defer t.larges.mu.Unlock()
	return len(t.larges.m)
}

// TakeBack is what a renewal does that has come to nothing.
func TakeBack(l *Large) bool { return l.takeBack() }

// Life returns which life of a session this is.
func (t *Table) Life(part int, id string) sessionproc.Incarnation {
	number, boot := t.Incarnation(&t.find(part, id).Head)
	return sessionproc.Incarnation{Number: number, Boot: boot}
}

// Extra returns how much memory a session has beside its record.
func (t *Table) Extra(part int, id string) uintptr {
	p := t.find(part, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ext == nil {
		return 0
	}
	return unsafe.Sizeof(*p.ext)
}

// Arrivals returns how many arrivals the table has noted.
func (t *Table) Arrivals() int { return len(*t.arrivals.all.Load()) - 1 }

// UseUpArrivals leaves no number for further ones.
func (t *Table) UseUpArrivals() {
	for boot := range uint64(maxArrivals) {
		t.arrivals.number(1<<32+boot, 0)
	}
}

// Replies returns how many replies a session keeps for calls with keys, or -1 if it has kept none yet.
func (t *Table) Replies(part int, id string) int {
	w := t.find(part, id).replies()
	if w == nil {
		return -1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.order.len()
}

// EncodeRecord makes a record of a session as its goroutine would, and returns the size of its body. The
// session must be idle.
func (t *Table) EncodeRecord(part int, id string) (int, error) {
	p := t.find(part, id)
	r := newRecord(p, FormRunning)
	err := p.encodeRecord(r)
	n := len(r.Body)
	r.release()
	return n, err
}

// FinishTurn has an idle session do what is due, and reports whether it goes on.
func (t *Table) FinishTurn(part int, id string) bool { return t.find(part, id).finishTurn() }

// ScanAll is what LocalStats shows of mailboxes, found by a look at all sessions.
func (t *Table) ScanAll() (s Stats) {
	now := t.clock.now.Load()
	for p := range t.all() {
		p.mu.Lock()
		p.addLocked(&s, now)
		p.mu.Unlock()
	}
	return s
}

// Noted returns how many sessions the next scan looks at.
func (t *Table) Noted() int {
	t.notables.mu.Lock()
	defer t.notables.mu.Unlock()
	return len(t.notables.all)
}
