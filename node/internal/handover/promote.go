package handover

import (
	"slices"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/teststep"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A partition's relics are promoted a few at a time, by a goroutine of the partition. One that is asked for comes
// first, wherever it is asked for.

// promoteLocked has the relics of a partition promoted that may run here.
func (d *Driver) promoteLocked(part int) {
	pt := &d.parts[part]
	if pt.promotes || !d.relicsLocked(part) {
		pt.promoteAgain = pt.promotes
		return
	}
	pt.promotes = true
	d.later = append(d.later, func() { d.life.Go(func() { d.promoteAll(part) }) })
}

// promoteAll promotes the relics of a partition.
func (d *Driver) promoteAll(part int) {
	pause := resendPause
	for again := true; again; {
		if d.promoting.Acquire(d.ctx, 1) != nil {
			return
		}
		left := d.promoteRound(part)
		d.promoting.Release(1)
		d.mu.Lock()
		pt := &d.parts[part]
		if again = left || pt.promoteAgain; pt.promoteAgain {
			pause = resendPause
		}
		pt.promotes, pt.promoteAgain = again, false
		d.mu.Unlock()
		if left {
			if !lifetime.Pause(d.ctx, pause) {
				return
			}
			pause = min(2*pause, longestPoll)
		}
	}
}

// promoteRound tries each relic of a partition once. left says that some are to be tried again.
func (d *Driver) promoteRound(part int) (left bool) {
	d.mu.RLock()
	sessions := d.relicNamesLocked(part)
	d.mu.RUnlock()
	for some := range slices.Chunk(sessions, turnsAtOnce) {
		if d.ctx.Err() != nil {
			return false
		}
		left = d.promoteSome(part, some) || left
	}
	return left
}

// relicNamesLocked returns the sessions of a partition of which standbys are left.
func (d *Driver) relicNamesLocked(part int) []string {
	names := d.standbys.Names(part)
	for session := range d.parts[part].reports.of {
		if i, found := slices.BinarySearch(names, session); !found {
			names = slices.Insert(names, i, session)
		}
	}
	return names
}

// promoteSome promotes relics of a partition, if they may run here.
func (d *Driver) promoteSome(part int, sessions []string) (left bool) {
	relics := make([]relic, 0, len(sessions))
	lacking := map[string][]string{} // sessions to be fetched, by member
	d.mu.RLock()
	for _, session := range sessions {
		if d.closed {
			break
		}
		r, may := d.relicLocked(part, session)
		if !may {
			continue
		}
		if from := r.lacking(); len(from) > 0 {
			for _, member := range from {
				lacking[member] = append(lacking[member], session)
			}
			continue
		}
		relics = append(relics, r)
	}
	d.mu.RUnlock()
	for i := range relics {
		left = !d.promoteOne(&relics[i]) || left
	}
	if len(lacking) == 0 {
		return left
	}
	came := 0
	for member, wanted := range lacking {
		came += d.fetchStandbys(member, part, wanted)
	}
	if came == 0 {
		return true
	}
	return d.promoteSome(part, sessions) || left
}

// promoteOne promotes a relic. Decoding runs code of users, so it happens without the lock.
func (d *Driver) promoteOne(r *relic) (done bool) {
	tomb := r.tombstone()
	copies, err := r.copies(tomb)
	var restored *engine.Restored
	if err == nil && len(copies) > 0 {
		restored, err = d.table.Revive(r.part, r.session, copies...)
	}
	if err != nil {
		d.hindered("a standby cannot run", d.env.Name, r.session, err.Error())
		return false
	}
	d.Turn(r.part, func(m *ownership.Machine) []ownership.Effect {
		now, may := d.relicLocked(r.part, r.session)
		if !may || !now.same(r) {
			return nil
		}
		var ended bool
		if restored, ended, done = d.riseLocked(r, tomb, restored); !done {
			return nil
		}
		d.standbys.Take(r.part, r.session)
		delete(d.parts[r.part].reports.of, r.session)
		d.woken = append(d.woken, r.part)
		if ended {
			d.unshelveLocked(r.part, r.session, nil)
		} else {
			d.awaitRecordLocked(r.part, r.session)
		}
		effects := d.copyLocked(m.Promoted(r.part, r.session, ended))
		d.roseLocked(r, ended)
		return effects
	})
	if restored != nil {
		restored.Discard()
	}
	return done
}

// promoteFirst promotes the relic of a session that is asked for, at once if its content is here.
func (d *Driver) promoteFirst(part int, session string) {
	d.mu.RLock()
	r, may := d.relicLocked(part, session)
	closed := d.closed
	d.mu.RUnlock()
	switch {
	case closed || !may:
	case len(r.lacking()) == 0:
		d.promoteOne(&r)
	default:
		d.fetchFirst(part, session)
	}
}

// fetchFirst fetches what is left of a session that is asked for, and promotes it.
func (d *Driver) fetchFirst(part int, session string) {
	d.mu.Lock()
	pt := &d.parts[part]
	again := pt.fetches[session] || d.closed
	if !again {
		put(&pt.fetches, session, true)
	}
	d.mu.Unlock()
	if again {
		return
	}
	d.life.Go(func() {
		d.promoteSome(part, []string{session})
		d.mu.Lock()
		delete(pt.fetches, session)
		d.mu.Unlock()
	})
}

// riseLocked has a relic run, or join the session that runs here, or become a tombstone. left is what has become of
// nothing, for the caller to discard.
func (d *Driver) riseLocked(r *relic, tomb engine.Version, restored *engine.Restored) (
	left *engine.Restored, ended, done bool) {
	pt := &d.parts[r.part]
	here, runs := d.table.Version(r.part, r.session)
	known, entombed := pt.tombs[r.session]
	if former := d.table.Former(r.session); former != nil && !runs {
		known = known.Merge(former)
	}
	tomb = tomb.Merge(known)
	if restored != nil && len(known) > 0 && known.Overrules(restored.Version()) {
		restored.Discard()
		restored = nil
	}
	if restored != nil && len(tomb) > 0 {
		restored.Survive(tomb)
	}
	switch {
	case runs && restored != nil && !here.Includes(restored.Version()):
		if !d.table.Meet(restored) {
			return restored, false, false // the session is just leaving the table
		}
		restored = nil
	case runs && len(tomb) > 0 && (tomb.Overrules(here) || !here.Covers(tomb)):
		// it ends, or has seen that end from now on
		after, ends := d.table.EndCopy(r.part, r.session, tomb)
		if ends {
			put(&pt.tombs, r.session, tomb.Join(d.table.Tombstone(r.part, r.session)))
			d.later = append(d.later, after)
		}
		return restored, ends, true
	case runs:
	case restored != nil:
		restored.Promote()
		if restored.Insert() != nil {
			return nil, false, false
		}
		d.tracePromotedLocked(r, restored.Kind())
		restored = nil
	default:
		put(&pt.tombs, r.session, tomb)
		return nil, true, true
	}
	if entombed {
		pt.disinter(r.session)
	}
	return restored, false, true
}

// roseLocked goes on with the standbys of what a relic has become.
func (d *Driver) roseLocked(r *relic, ended bool) {
	rep := d.replicas.meet(r.part, r.session)
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if kind := d.table.SessionKind(r.part, r.session); kind != "" {
		rep.kind = kind
	} else if rep.kind == "" {
		rep.kind = r.kind()
	}
	d.joinReplicaLocked(rep, r.hold(), ended)
	d.settleLater(d.tendOneLocked(rep))
}

// joinReplicaLocked notes that a copy of a session has come, of which members may have standbys. The record that
// waits does not have what the copy has seen.
func (d *Driver) joinReplicaLocked(rep *replicated, hold []string, ended bool) {
	d.reviveLocked(rep)
	rep.r.Join(hold)
	rep.r.Ended = ended
	rep.r.Change()
	d.giveUpLocked(rep.takeLocked(), engine.ErrSuperseded)
}

// tracePromotedLocked tells of a session that goes on from its standby.
func (d *Driver) tracePromotedLocked(r *relic, kind string) {
	d.promotions.Add(1)
	d.step(teststep.SessionPromoted, "")
	promoted := d.env.Promoted
	if promoted == nil {
		return
	}
	p := Promotion{Session: sessionproc.LogID(r.session), Kind: kind, Age: r.age()}
	d.later = append(d.later, func() { promoted(p) })
}
