package node

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// handoff is a copy of a session that was sealed for another member. It waits
// for its handler, then its lane has it (busy) until the target has dealt with it; the
// target's answer, or its end, takes it out of driven.sealed.
type handoff struct {
	session string
	lane    *lane // to the member that is to have it
	id      uint64

	snapshot []byte // once it is made
	err      error

	// Since epoch; guarded by driver.mu.
	begun  time.Duration // when it was sealed
	looked time.Duration // when it was looked at last
	seen   time.Duration // when the target had dealt with it; 0: it did not

	part   int
	state  atomic.Uint32
	soon   atomic.Bool // counted in lane.soon
	form   ownership.Form
	wanted bool // somebody waits for it

	// All below is guarded by driver.mu.
	sent bool // committed: only the target decides
	busy bool // its lane has it
	slow bool // its handler holds it up; others have its place in the lane

	outline bool // the session cannot be encoded: the target is to decide between it and another copy, and to refuse it
}

// epoch is the zero of times kept as a number; only differences count.
var epoch = time.Now().Add(-time.Hour)

// answered reports whether the target has dealt with it just now: see answerTime. The
// caller holds driver.mu.
func (h *handoff) answered() bool { return h.seen != 0 && time.Since(epoch)-h.seen < answerTime }

// The states of a handoff.
const (
	isSealed = iota // its snapshot, or the error, is to come
	isMade
	isOver // it is not to be sent any more
)

// answerTime is how long a session that the target has dealt with is waited for. Its
// answer comes by another way, and is lost only with the connection.
const answerTime = time.Second

// readyToGo gives a sealed session to its lane. It blocks on nothing but the
// lane's mutex.
func (d *driver) readyToGo(h *handoff, b []byte, err error) {
	h.snapshot, h.err = b, err
	d.bytes.Add(int64(len(b)))
	h.ready()
	if h.state.CompareAndSwap(isSealed, isMade) {
		h.lane.add(h)
	} else {
		d.bytes.Add(-int64(len(b)))
	}
}

// ready notes that the session is not about to be ready any more.
func (h *handoff) ready() {
	if h.soon.Swap(false) {
		h.lane.soon.Add(-1)
	}
}

// stays tells the machine that a session could not be encoded. If the target knows of
// another copy of it, it is sent an outline first.
func (d *driver) stays(h *handoff) {
	d.n.log.Error("a session cannot move", "session", sessionproc.LogID(h.session), "err", h.err)
	d.turn(h.part, func(m *ownership.Machine) []ownership.Effect {
		d.parts[h.part].rule(h.session, final{why: h.err.Error()})
		if d.outlineLocked(h) {
			return nil
		}
		return m.SealFailed(h.part, h.session)
	})
}

// transferLocked sends a session again to which its target has not answered.
func (d *driver) transferLocked(e *ownership.Effect) {
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
func (d *driver) transferTombLocked(e *ownership.Effect) {
	pt := &d.parts[e.Partition]
	h := pt.buried[e.Session]
	if h != nil && h.lane.to == e.To && h.id == e.ID && (h.busy || h.answered()) {
		return
	}
	l := d.laneLocked(e.To)
	h = &handoff{part: e.Partition, session: e.Session, id: e.ID, form: ownership.Ended, sent: true, busy: true, lane: l}
	h.state.Store(isMade)
	h.snapshot = pt.tombs[e.Session].Append(nil)
	put(&pt.buried, e.Session, h)
	l.add(h)
}

// commitLocked asks whether the end of a session may be sent.
func (d *driver) commitLocked(h *handoff) error {
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
		d.n.table.Sent(h.part, h.session)
	}
	return nil
}

var errStays = errors.New("the session stays")

// doneLocked takes a handoff off the books.
func (d *driver) doneLocked(h *handoff) {
	pt := &d.parts[h.part]
	if pt.sealed[h.session] != h {
		return
	}
	delete(pt.sealed, h.session)
	if len(pt.sealed) == 0 && !pt.listed { // the next partition can have its memory
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
	signal(d.kick)
}

// unsealLocked executes Resume, Drop and Shelve.
func (d *driver) unsealLocked(e *ownership.Effect) {
	pt := &d.parts[e.Partition]
	h := pt.sealed[e.Session]
	if h == nil || e.Form == ownership.Ended {
		return
	}
	d.doneLocked(h)
	switch {
	case e.Do == ownership.Resume && e.Form == ownership.Running,
		h.outline: // nobody has taken it; the machine is told of its number before its next event
		d.n.table.Resume(e.Partition, e.Session)
		return
	case e.Do != ownership.Drop:
		version, err := sessionproc.SnapshotVersion(h.snapshot)
		if err != nil {
			d.n.log.Error("a session is lost", "session", sessionproc.LogID(h.session), "err", err) // it was encoded here
			break
		}
		d.backUpLocked(e.Partition, e.Session, backup{h.snapshot, version})
	}
	if h.form == ownership.Running {
		if e.Do == ownership.Drop {
			d.traffic.leave()
			kind := d.n.table.SessionKind(e.Partition, e.Session)
			d.traceMoveLocked(TraceSessionMoved{Session: h.session, Kind: kind, Peer: h.lane.to,
				Size: len(h.snapshot), Duration: time.Since(epoch) - h.begun})
		}
		delete(pt.final, e.Session)
		d.later = append(d.later, d.n.table.Forget(e.Partition, e.Session))
	}
}
