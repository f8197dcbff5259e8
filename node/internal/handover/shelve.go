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

// shelveStandbyLocked makes a sealed session, whose target is lost, a standby here.
func (d *Driver) shelveStandbyLocked(h *handoff) {
	v, err := engine.SnapshotVersion(h.snapshot)
	body := h.snapshot
	if old, ok := d.standbys.Find(h.part, h.session); err == nil && ok {
		switch {
		case engine.VersionCovers(old.Version(), v.Append(nil)):
			return
		case old.Form() == ownership.Running:
			if body, err = engine.JoinSnapshots(h.snapshot, old.Body()); err == nil {
				v, err = engine.SnapshotVersion(body)
			}
		}
	}
	if err != nil {
		d.env.Log.Error("of two copies of a session one is lost", "session", sessionproc.LogID(h.session), "err", err)
		return
	}
	r := standby.Record{Kind: engine.SnapshotKind(body), Version: v.Append(nil), Body: body}
	d.standbys.Put(h.part, h.session, r, h.hold)
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
