package handover

import (
	"strings"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Enter implements engine.Gate. The common case, a new session in a quiet
// partition, needs only the read lock: the machine need not know of it. In any
// other partition the start is an event of its own, which asks the machine
// again, now under the write lock.
func (d *Driver) Enter(part int, id string, e engine.Entry) error {
	d.mu.RLock()
	var a ownership.Answer
	relic := false
	closed := d.closed || d.m == nil
	if !closed {
		a = d.m.Who(part, id)
		relic = a.Place == ownership.Nowhere && d.hasRelicLocked(part, id)
		if a.Place == ownership.Nowhere && !relic && d.m.Quiet(part) {
			e.Begin()
			d.mu.RUnlock()
			return nil
		}
	}
	d.mu.RUnlock()
	switch {
	case e.Here():
		return nil
	case closed:
		return sessionproc.ErrClosed
	}
	id = strings.Clone(id)
	if relic {
		d.promoteFirst(part, id)
		if e.Here() {
			return nil
		}
	}
	switch a.Place {
	case ownership.Nowhere:
		closed = true
		d.Turn(part, func(m *ownership.Machine) []ownership.Effect {
			closed = false
			switch a = m.Who(part, id); {
			case a.Place != ownership.Nowhere:
			case d.hasRelicLocked(part, id):
				a.Place = ownership.Wait
			case d.beginLocked(part, id, e):
				return m.Started(part, id)
			}
			return nil
		})
		if closed {
			return sessionproc.ErrClosed
		}
	case ownership.Wait:
		d.want(part, id)
	}
	return d.elsewhere(a)
}

// beginLocked begins a session here. If an earlier session with this ID left a
// tombstone, the new one gets a version that succeeds it, so that no copy of
// the earlier one overrules the new one.
func (d *Driver) beginLocked(part int, id string, e engine.Entry) bool {
	pt := &d.parts[part]
	tomb, ended := pt.tombs[id]
	if !ended {
		return e.Begin()
	}
	if !d.table.Succeed(id, tomb, e.Begin) {
		return false
	}
	pt.disinter(id)
	d.beganReplicaLocked(part, id)
	return true
}

// Leave implements engine.Gate. remove is called under mu in every case:
// the end of a session must not fall between a question to the machine and the
// act.
func (d *Driver) Leave(part int, id string, remove func()) {
	d.mu.RLock()
	_, sealed := d.parts[part].sealed[id]
	replicated := d.replicas.find(part, id) != nil || d.parts[part].ahead[id]
	if d.closed || d.abandoned || d.m == nil || d.m.Quiet(part) && !sealed && !replicated {
		remove()
		d.mu.RUnlock()
		return
	}
	d.mu.RUnlock()
	done := false
	d.Turn(part, func(m *ownership.Machine) []ownership.Effect {
		done = true
		pt := &d.parts[part]
		delete(pt.final, id)
		if pt.ahead[id] {
			delete(pt.ahead, id)
			pt.away--
			remove()
			return nil
		}
		remember, effects := m.Ended(part, id, replicated)
		effects = d.copyLocked(effects)
		if h := pt.sealed[id]; h != nil && !h.sent {
			d.doneLocked(h)
		}
		if remember {
			put(&pt.tombs, id, pt.tombs[id].Join(d.table.Tombstone(part, id)))
			delete(pt.late, id)
		}
		remove()
		d.endedReplicaLocked(part, id, remember)
		return effects
	})
	if !done { // the driver was closed in the meantime
		remove()
	}
}
