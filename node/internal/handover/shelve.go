package handover

import (
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// holdLocked returns whether a session has standbys, and who may have one.
func (d *Driver) holdLocked(part int, session string) (replicated bool, hold []string) {
	rep := d.replicas.find(part, session)
	if rep == nil {
		return false, nil
	}
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if rep.r == nil {
		return true, rep.hold
	}
	return true, rep.r.Hold()
}

// resumeReplicaLocked goes on with the standbys of a session that was sealed.
func (d *Driver) resumeReplicaLocked(part int, session string) {
	rep := d.replicas.find(part, session)
	if rep == nil {
		return
	}
	rep.mu.Lock()
	defer rep.mu.Unlock()
	d.reviveLocked(rep)
	rep.r.Change()
	rep.seq = rep.r.Seq
	d.settleLater(d.tendOneLocked(rep))
}

// shelveStandbyLocked makes a sealed session, whose target is lost, a standby here. It reports false if that could
// not be.
func (d *Driver) shelveStandbyLocked(h *handoff) bool {
	v, err := engine.SnapshotVersion(h.snapshot)
	body := h.snapshot
	if old, ok := d.standbys.Find(h.part, h.session); err == nil && ok {
		switch {
		case engine.VersionCovers(old.Version(), v.Append(nil)):
			return true
		case old.Form() == ownership.Running:
			if body, err = engine.JoinSnapshots(h.snapshot, old.Body()); err == nil {
				v, err = engine.SnapshotVersion(body)
			}
		}
	}
	if err != nil {
		d.env.Log.Error("of two copies of a session one is lost", "session", sessionproc.LogID(h.session), "err", err)
		return false
	}
	r := standby.Record{Kind: engine.SnapshotKind(body), Version: v.Append(nil), Body: body}
	d.standbys.Put(h.part, h.session, r, h.hold)
	return true
}

// shelveAnswersLocked removes a session from the table that has become a standby here. Its handlers may have replied
// to calls without a record of what they have changed. That is in the standby: so the callers are answered when the
// session goes on from it, and its standbys are made.
func (d *Driver) shelveAnswersLocked(part int, session string) {
	waiting, after := d.table.Shelve(part, session)
	d.later = append(d.later, after)
	if !waiting.None() {
		pt := &d.parts[part]
		put(&pt.shelved, session, pt.shelved[session].Join(waiting))
	}
}

// unshelveLocked gives the answers of a session that was shelved: another member has what was its standby here, and
// has written that or had it discarded. With an err it is not known what has become of the session.
func (d *Driver) unshelveLocked(part int, session string, err error) {
	pt := &d.parts[part]
	if waiting, any := pt.shelved[session]; any {
		delete(pt.shelved, session)
		d.later = append(d.later, func() { waiting.Give(err) })
	}
}

// unshelveAllLocked is unshelveLocked for all sessions of a partition.
func (d *Driver) unshelveAllLocked(part int, err error) {
	for session := range d.parts[part].shelved {
		d.unshelveLocked(part, session, err)
	}
}

// awaitRecordLocked has the answers of a session that was shelved, and goes on here, wait for its next record.
func (d *Driver) awaitRecordLocked(part int, session string) {
	pt := &d.parts[part]
	if waiting, any := pt.shelved[session]; any {
		put(&pt.shelved, session, d.table.Await(part, session, waiting))
		d.unshelveLocked(part, session, errGoesOn)
	}
}

// shelveTombLocked makes a tombstone, whose target is lost, a standby here.
func (d *Driver) shelveTombLocked(e *ownership.Effect) {
	pt := &d.parts[e.Partition]
	tomb, ok := pt.tombs[e.Session]
	if !ok || e.Do != ownership.Shelve || !e.Replicated {
		return
	}
	var kind string
	if rep := d.replicas.find(e.Partition, e.Session); rep != nil {
		kind = rep.kind
	}
	_, hold := d.holdLocked(e.Partition, e.Session)
	old, has := d.standbys.Find(e.Partition, e.Session)
	if !has || !engine.VersionCovers(old.Version(), tomb.Append(nil)) {
		d.standbys.Put(e.Partition, e.Session, standby.Record{
			Kind: kind, Form: ownership.Ended, Version: tomb.Append(nil), Life: tomb.AppendLife(nil),
		}, hold)
	}
	pt.disinter(e.Session)
	delete(pt.buried, e.Session)
	d.dropReplicaLocked(e.Partition, e.Session, errGoesOn)
}
