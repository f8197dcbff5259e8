package handover

import (
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// endAheadLocked tells the machine of the end of a session that waits in the table until its last
// record is durable. The partition is promised to another member, which writes the standbys now: so
// the tombstone goes there, and who waits for the end is answered when it has come there.
func (d *Driver) endAheadLocked(part int, session string) {
	rep, pt := d.replicas.find(part, session), &d.parts[part]
	if rep == nil || pt.ahead[session] || d.closed {
		return
	}
	rep.mu.Lock()
	ends := rep.record != nil && rep.record.Form == engine.FormEnded
	var tomb engine.Version
	if rep.record != nil && !ends { // the last one, of the end, waits for this one
		d.giveUpLocked(rep.takeLocked(), engine.ErrSuperseded)
	}
	if ends {
		tomb, _ = engine.ParseLives(rep.record.Version, rep.record.Life) // this node has made them
		d.reviveLocked(rep)
		rep.r.Ended = true
		rep.r.Change()
		rep.seq = rep.r.Seq
	}
	rep.mu.Unlock()
	if !ends {
		return
	}
	put(&pt.tombs, session, pt.tombs[session].Join(tomb))
	delete(pt.late, session)
	d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect {
		_, effects := m.Ended(part, session, true)
		if h := pt.sealed[session]; h != nil { // its last handler has ended it
			d.doneLocked(h)
		}
		put(&pt.ahead, session, true)
		pt.away++
		return effects
	})
}

// tookReplicaLocked goes on with the standbys of a session that has come, or whose tombstone has. Its source keeps
// it until the standbys are made here.
func (d *Driver) tookReplicaLocked(a *arrival, ended bool) {
	if !a.Replicated || a.Form == ownership.Backup || !d.env.Standbys {
		return
	}
	if h := d.parts[a.part].sealed[a.Session]; h != nil { // it comes back from where it was sent
		d.doneLocked(h)
		d.table.Resume(a.part, a.Session)
	}
	rep := d.replicas.meet(a.part, a.Session)
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if kind := d.table.SessionKind(a.part, a.Session); kind != "" {
		rep.kind = kind
	}
	d.joinReplicaLocked(rep, a.hold, ended)
	own, has := d.standbys.Find(a.part, a.Session)
	if has && engine.VersionCovers(d.versionHereLocked(a.part, a.Session).Append(nil), own.Version()) {
		rep.r.Join(own.Hold())
		d.standbys.Take(a.part, a.Session)
		if ended {
			d.unshelveLocked(a.part, a.Session, nil)
		} else {
			d.awaitRecordLocked(a.part, a.Session)
		}
		d.doLocked(d.m.Promoted(a.part, a.Session, ended))
	}
	d.settleLater(d.tendOneLocked(rep))
}
