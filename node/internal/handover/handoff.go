package handover

import (
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/teststep"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// epoch is the zero of times that are kept as numbers. Only differences have a
// meaning.
var epoch = time.Now().Add(-time.Hour)

// answered reports whether the target has processed the session less than
// answerTime ago. The caller holds Driver.mu.
func (h *handoff) answered() bool { return h.seen != 0 && time.Since(epoch)-h.seen < answerTime }

// answerTime is how long the answer to a processed session is waited for before
// the session is sent again. The answer travels on the connection for calls,
// and is lost only with that.
const answerTime = time.Second

// readyToGo hands a sealed session, with its snapshot or the error, to its
// lane. A worker calls it; it waits for nothing but the lane's mutex.
func (d *Driver) readyToGo(h *handoff, b []byte, err error) {
	h.snapshot, h.err = b, err
	d.bytes.Add(int64(len(b)))
	if err == nil {
		d.step(teststep.SessionSealed, h.lane.to)
	}
	h.ready()
	if h.state.CompareAndSwap(isSealed, isMade) {
		h.lane.add(h)
	} else {
		d.bytes.Add(-int64(len(b)))
	}
}

// ready uncounts the session in lane.soon.
func (h *handoff) ready() {
	if h.soon.Swap(false) {
		h.lane.soon.Add(-1)
	}
}

// keepUnencodable tells the machine that a session could not be encoded, and so
// stays here. If the target knows of another copy of it, the target is sent an
// outline first.
func (d *Driver) keepUnencodable(h *handoff) {
	d.env.Log.Error("a session cannot move", "session", sessionproc.LogID(h.session), "err", h.err)
	d.Turn(h.part, func(m *ownership.Machine) []ownership.Effect {
		d.parts[h.part].rule(h.session, final{why: h.err.Error()})
		if d.outlineLocked(h) {
			return nil
		}
		return m.SealFailed(h.part, h.session)
	})
}

// transferLocked executes the effect Transfer: it sends a session again, unless
// the lane still has it or the target has just processed it.
func (d *Driver) transferLocked(e *ownership.Effect) {
	if e.Form == ownership.Ended {
		d.transferTombLocked(e)
		return
	}
	h := d.parts[e.Partition].sealed[e.Session]
	if h == nil || h.busy || h.answered() {
		return
	}
	h.busy = true
	h.lane.add(h)
}

// transferTombLocked is transferLocked for the tombstone of a session.
func (d *Driver) transferTombLocked(e *ownership.Effect) {
	pt := &d.parts[e.Partition]
	h := pt.buried[e.Session]
	if h != nil && h.lane.to == e.To && h.id == e.ID && (h.busy || h.answered()) {
		return
	}
	l := d.laneLocked(e.To)
	h = &handoff{
		part: e.Partition, session: e.Session, id: e.ID, form: ownership.Ended, sent: true, busy: true, lane: l,
		late: pt.late[e.Session],
	}
	h.state.Store(isMade)
	h.snapshot, h.lives = pt.tombs[e.Session].Append(nil), pt.tombs[e.Session].AppendLife(nil)
	h.replicated, h.hold = d.holdLocked(e.Partition, e.Session)
	put(&pt.buried, e.Session, h)
	l.add(h)
}

// commitLocked must be called before the last byte of a session is sent. It
// returns an error if the session must stay. After nil the target may have the
// session, so only the target decides.
func (d *Driver) commitLocked(h *handoff) error {
	if h.form == ownership.Ended {
		return nil
	}
	if d.closed || d.parts[h.part].sealed[h.session] != h {
		return errStays
	}
	if h.sent {
		return nil
	}
	if !d.m.Commit(h.part, h.session) {
		return errStays
	}
	h.sent = true
	if h.form == ownership.Running {
		d.table.Sent(h.part, h.session)
	}
	d.step(teststep.SessionCommitted, h.lane.to)
	return nil
}

var errStays = errors.New("the session stays")

// doneLocked removes a handoff from all counts and lists.
func (d *Driver) doneLocked(h *handoff) {
	pt := &d.parts[h.part]
	if pt.sealed[h.session] != h {
		return
	}
	delete(pt.sealed, h.session)
	if len(pt.sealed) == 0 && !pt.listed { // keep the map for the next partition
		d.spare, pt.sealed = pt.sealed, nil
	}
	if h.form == ownership.Running {
		pt.away--
	}
	h.ready()
	if h.state.Swap(isOver) == isMade {
		d.bytes.Add(-int64(len(h.snapshot)))
	}
	if !h.slow {
		h.lane.open--
	}
	h.lane.doneLocked()
	lifetime.Signal(d.kick)
}

// unsealLocked executes the effects Resume, Drop and Shelve.
func (d *Driver) unsealLocked(e *ownership.Effect) {
	pt := &d.parts[e.Partition]
	h := pt.sealed[e.Session]
	if e.Form == ownership.Ended {
		d.shelveTombLocked(e)
		return
	}
	if h == nil {
		return
	}
	d.doneLocked(h)
	shelved := false
	switch {
	case e.Do == ownership.Resume && e.Form == ownership.Running,
		h.outline: // nobody has taken it; the machine is told of its number before its next event
		d.table.Resume(e.Partition, e.Session)
		d.resumeReplicaLocked(e.Partition, e.Session)
		return
	case e.Do == ownership.Shelve && e.Replicated:
		shelved = d.shelveStandbyLocked(h)
	case e.Do != ownership.Drop:
		version, err := engine.SnapshotVersion(h.snapshot)
		if err != nil {
			// Cannot happen: this node has encoded the snapshot.
			d.env.Log.Error("a session is lost", "session", sessionproc.LogID(h.session), "err", err)
			break
		}
		d.backUpLocked(e.Partition, e.Session, backup{h.snapshot, version})
	}
	if h.form == ownership.Running {
		if e.Do == ownership.Drop {
			d.traffic.leave()
			kind := d.table.SessionKind(e.Partition, e.Session)
			d.traceMoveLocked(Move{Session: h.session, Kind: kind, Peer: h.lane.to,
				Size: len(h.snapshot), Duration: time.Since(epoch) - h.begun})
		}
		delete(pt.final, e.Session)
		var undurable, lost error
		if e.Do != ownership.Drop {
			undurable, lost = errGoesOn, errTargetLost
		}
		if shelved {
			d.shelveAnswersLocked(e.Partition, e.Session)
		} else {
			d.later = append(d.later, d.table.Forget(e.Partition, e.Session, undurable))
		}
		d.dropReplicaLocked(e.Partition, e.Session, lost)
	}
}

// isOver reports whether the session must not be sent any more.
func (h *handoff) isOver() bool { return h.state.Load() == isOver }
