package node

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/node/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// handoff is a copy of a session that was sealed for another member. It waits
// for its handler (ready), then its lane has it (busy) until the target has
// dealt with it; the target's answer, or its end, takes it out of
// driven.sealed (over).
type handoff struct {
	part    int
	session string
	to      string
	id      uint64
	form    ownership.Form
	lane    *lane
	ready   chan struct{} // closed when snapshot or err is there
	over    chan struct{} // closed when it is not to be sent any more

	snapshot []byte
	err      error
	bytes    atomic.Int32 // whether its snapshot counts against HandoffMemory

	// All below is guarded by driver.mu.
	sent  bool      // committed: only the target decides
	busy  bool      // its lane has it
	begun time.Time // when it was sealed
	slow  bool      // its handler holds it up; others have its place in the lane
	seen  time.Time // when the target had dealt with it, if it did
}

const (
	turnsAtOnce = 16                    // under one lock: sessions sealed or taken, or messages
	patience    = 20 * time.Millisecond // with a running handler, before others have its place
	answerTime  = 100 * time.Millisecond
)

// handLocked notes that a partition has something to hand over, at once if
// somebody waits for it.
func (d *driver) handLocked(part int, wanted bool) {
	pt := &d.parts[part]
	switch {
	case wanted:
		if !slices.Contains(d.first, part) {
			d.first = append(d.first, part)
		}
	case !pt.handing:
		pt.handing = true
		if len(d.handing) == 0 {
			d.bulk.begin()
		}
		d.handing = append(d.handing, part)
	}
	signal(d.kick)
}

// handOver seals sessions for their lanes, until the driver stops.
func (d *driver) handOver() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		later, more := d.seal()
		var due <-chan time.Time
		switch {
		case later > 0:
			timer.Reset(later)
			due = timer.C
		case more:
			continue
		}
		select {
		case <-due:
		case <-d.kick:
		case <-d.ctx.Done():
			return
		}
	}
}

// seal seals a few sessions: first those that somebody waits for, then, if it is
// time, the ones of a partition after another that were used last. A quarter of
// each lane is for the former alone. later: the latter are to wait that long.
// more: others are left whose lanes have room.
func (d *driver) seal() (later time.Duration, more bool) {
	d.mu.Lock()
	defer d.unlock()
	if d.closed {
		return 0, false
	}
	left, room := turnsAtOnce, d.n.cfg.HandoffConcurrency
	d.first = slices.DeleteFunc(d.first, func(part int) bool {
		pt := &d.parts[part]
		left -= d.sealSomeLocked(part, &pt.wanted, room, left)
		return len(pt.wanted) == 0
	})
	if later = d.bulk.wait(); later > 0 && len(d.handing) > 0 {
		return later, false
	}
	room -= room / 4
	wanted := turnsAtOnce - left
	d.handing = slices.DeleteFunc(d.handing, func(part int) bool {
		pt := &d.parts[part]
		if len(pt.queue) == 0 && left > 0 {
			pt.queue = d.n.table.Movable(part)
			for session := range pt.backups {
				pt.queue = append(pt.queue, session)
			}
		}
		left -= d.sealSomeLocked(part, &pt.queue, room, left)
		pt.handing = len(pt.queue) > 0 || left == 0
		return !pt.handing
	})
	if len(d.handing) == 0 {
		return 0, false
	}
	if sealed := turnsAtOnce - wanted - left; sealed > 0 {
		d.bulk.spend(sealed, d.toHandLocked())
	}
	return d.bulk.wait(), left == 0
}

// toHandLocked is about how many sessions wait for the bulk to come to them.
func (d *driver) toHandLocked() (n int) {
	for _, part := range d.handing {
		if queue := d.parts[part].queue; len(queue) > 0 {
			n += len(queue)
		} else {
			n += d.n.table.Count(part)
		}
	}
	return n
}

// sealSomeLocked seals up to limit of the sessions in from, which are of one
// partition, while their target's lane has room.
func (d *driver) sealSomeLocked(part int, from *[]string, room, limit int) (sealed int) {
	to, id, ok := d.m.HandingOver(part)
	if !ok {
		*from = nil
		return 0
	}
	l := d.laneLocked(to)
	for len(*from) > 0 && sealed < limit && l.open < room && d.bytes.Load() < d.n.cfg.HandoffMemory {
		session := (*from)[0]
		*from = (*from)[1:]
		h := &handoff{part: part, session: session, to: to, id: id, lane: l, ready: make(chan struct{}), over: make(chan struct{}), begun: time.Now()}
		h.busy = true
		if d.sealOneLocked(h) {
			put(&d.parts[part].sealed, session, h)
			l.open++
			sealed++
		}
	}
	return sealed
}

func (d *driver) sealOneLocked(h *handoff) bool {
	pt := &d.parts[h.part]
	if b, ok := pt.backups[h.session]; ok {
		if _, _, ok := d.m.Seal(h.part, h.session, ownership.Backup); !ok {
			return false
		}
		delete(pt.backups, h.session)
		h.form = ownership.Backup
		d.readyToGo(h, b.snapshot, nil)
		return true
	}
	ask := func() bool {
		_, _, ok := d.m.Seal(h.part, h.session, ownership.Running)
		return ok
	}
	late := time.AfterFunc(patience, func() { d.spawn(func() { d.await(h) }) })
	if d.n.table.Seal(h.part, h.session, &moved{d.addr(h.to)}, ask, func(b []byte, err error) {
		late.Stop()
		if !errors.Is(err, sessionproc.ErrUnsealed) { // else it is off the books, or about to be
			d.readyToGo(h, b, err)
		}
	}) {
		return true
	}
	late.Stop()
	return false
}

// await has others take the place of a session whose handler takes long, and
// warns of the handler.
func (d *driver) await(h *handoff) {
	d.mu.Lock()
	select {
	case <-h.ready:
		d.mu.Unlock()
		return
	default:
	}
	if d.parts[h.part].sealed[h.session] == h && !h.slow {
		h.slow = true
		h.lane.open--
		signal(d.kick)
	}
	d.mu.Unlock()
	warn := time.NewTimer(d.n.cfg.StopTimeout)
	defer warn.Stop()
	for {
		select {
		case <-h.ready:
			return
		case <-h.over:
			return
		case <-d.ctx.Done():
			return
		case <-warn.C:
			d.n.log.Warn("a handler holds up the move of its session, its ctx is cancelled", "session", sessionproc.LogID(h.session),
				"after", d.n.cfg.StopTimeout, "stack", d.n.table.Interrupt(h.part, h.session))
		}
	}
}

// stays tells the machine that a session could not be encoded.
func (d *driver) stays(h *handoff) {
	d.n.log.Error("a session cannot move", "session", sessionproc.LogID(h.session), "err", h.err)
	d.turn(h.part, func(m *ownership.Machine) []ownership.Effect { return m.SealFailed(h.part, h.session) })
}

// transferLocked sends a session again to which its target has not answered.
func (d *driver) transferLocked(e *ownership.Effect) {
	if e.Form == ownership.Ended {
		h := &handoff{part: e.Partition, session: e.Session, to: e.To, id: e.ID, form: ownership.Ended, sent: true, over: make(chan struct{})}
		h.snapshot = d.parts[e.Partition].tombs[e.Session].Append(nil)
		d.laneLocked(e.To).add(h)
		return
	}
	h := d.parts[e.Partition].sealed[e.Session]
	if h == nil || h.busy || time.Since(h.seen) < answerTime {
		return
	}
	h.busy = true
	h.lane.add(h)
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
	close(h.over)
	d.countOff(h)
	if !h.slow {
		h.lane.open--
	}
	signal(d.kick)
}

// backup is a copy that never runs by itself.
type backup struct {
	snapshot []byte
	version  sessionproc.Version
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
	case e.Do == ownership.Resume && e.Form == ownership.Running:
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
			d.traceMoveLocked(TraceSessionMoved{Session: h.session, Kind: d.n.table.KindOf(e.Partition, e.Session), Peer: h.to,
				Size: len(h.snapshot), Duration: time.Since(h.begun)})
		}
		d.later = append(d.later, d.n.table.Forget(e.Partition, e.Session))
	}
}

// filterLocked is of all copies of a partition that are here.
func (d *driver) filterLocked(part int) ownership.Filter {
	pt, table := &d.parts[part], d.n.table
	ids, _ := table.IDs(part)
	all := []iter.Seq[string]{slices.Values(ids), maps.Keys(pt.sealed), maps.Keys(pt.backups), maps.Keys(pt.tombs)}
	n := table.Count(part) + len(pt.sealed) + len(pt.backups) + len(pt.tombs)
	return ownership.NewFilter(n, func(yield func(string) bool) {
		for _, some := range all {
			for id := range some {
				if !yield(id) {
					return
				}
			}
		}
	})
}

// runBackupsLocked has backups run that nothing better is left of. One that cannot
// stays, and is tried again.
func (d *driver) runBackupsLocked(part int) {
	pt, tried := &d.parts[part], len(d.parts[part].backups)
	for session, b := range pt.backups {
		if !d.m.FullFor(part, session) {
			continue
		}
		if here, runs := d.n.table.Version(part, session); !runs || !here.Includes(b.version) {
			r, err := d.n.table.Restore(part, session, b.snapshot)
			if err != nil {
				d.hindered("a backup cannot run", d.n.self.Name(), session, err.Error())
				continue
			}
			if runs {
				d.n.table.Meet(r)
			} else {
				r.Renew()
				_ = r.Insert() // nothing is there
			}
		}
		delete(pt.backups, session)
	}
	if len(pt.backups) < tried { // else the machine would have them tried at once, for ever
		d.countLocked(part)
	}
}

// backUpLocked keeps a backup, with what another one there has seen.
func (d *driver) backUpLocked(part int, session string, b backup) {
	pt := &d.parts[part]
	old, ok := pt.backups[session]
	if ok {
		joined, err := sessionproc.JoinSnapshots(old.snapshot, b.snapshot)
		if err != nil {
			d.n.log.Error("of two backups of a session one is lost", "session", sessionproc.LogID(session), "err", err)
			return
		}
		b = backup{joined, old.version.Join(b.version)}
	}
	put(&pt.backups, session, b)
}
