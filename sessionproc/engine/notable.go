package engine

import (
	"sync"
	"time"
)

// A notables is the sessions of a table that its figures are taken from: those with messages that wait,
// and those in quarantine. So figures that are scraped cost nothing for sessions that rest, however many
// these are.
//
// A session is noted when a message comes while another one waits or is handled, and wherever one has
// to wait although none does: for a worker, for the turn to start, for the end of a pause or of a
// back-off, for a record. It stays noted until a scan finds that nothing waits. There is one each second
// in any case, so a busy session is noted once a second at most.
type notables struct {
	scanning sync.Mutex // held during a scan; before a session's mu

	mu  sync.Mutex // after a session's mu
	all []*process // guarded by mu
}

// scanEvery is the interval of the scans that only forget.
const scanEvery = int64(time.Second)

// noteLocked notes the session, unless it is noted already.
func (p *process) noteLocked() {
	if p.noted {
		return
	}
	p.noted = true
	n := &p.table().notables
	n.mu.Lock()
	n.all = append(n.all, p)
	n.mu.Unlock()
}

// note is noteLocked for a caller that does not hold mu.
func (p *process) note() {
	p.mu.Lock()
	p.noteLocked()
	p.mu.Unlock()
}

// scan adds to s what the noted sessions show.
func (t *Table) scan(s *Stats) {
	n := &t.notables
	n.scanning.Lock()
	defer n.scanning.Unlock()
	n.mu.Lock()
	all := n.all
	n.all = nil
	n.mu.Unlock()
	now, kept := t.clock.now.Load(), all[:0]
	for _, p := range all {
		here := t.find(int(p.part), p.ID) == p
		p.mu.Lock()
		if here && p.addLocked(s, now) {
			kept = append(kept, p)
		} else {
			p.noted = false
		}
		p.mu.Unlock()
	}
	clear(all[len(kept):])
	if cap(kept) > 1024 && len(kept) < cap(kept)/4 {
		kept = append([]*process(nil), kept...)
	}
	n.mu.Lock()
	n.all = append(kept, n.all...)
	n.mu.Unlock()
}

// addLocked adds to s what the session shows, and reports whether that is anything.
func (p *process) addLocked(s *Stats, now int64) bool {
	quarantined, waiting := p.phase == phaseQuarantined, int(p.queued)
	if quarantined {
		s.Quarantined++
	}
	if waiting > 0 {
		if p.lined {
			waiting += p.ext.line.messages
		}
		s.Waiting += waiting
		s.Queues++
		s.Deepest = max(s.Deepest, waiting)
		s.Oldest = max(s.Oldest, p.headAgeLocked(now))
	}
	return quarantined || waiting > 0
}
