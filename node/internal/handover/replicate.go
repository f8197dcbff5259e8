package handover

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// An outcome is what is to be done about a replicated session once no lock is held.
type outcome struct {
	rep    *replicated
	record *engine.Record // is answered with err
	err    error
	// secured: its standbys are made. buried: nobody has a standby of the ended session. again: a record of it
	// is wanted. lacks: it is, in its turn, and moves: others have the standbys.
	secured, buried, again, lacks, moves bool
	refused                              *standby.Answer // a member does not obey
}

// idle reports whether nothing is to be done.
func (o *outcome) idle() bool {
	return o.record == nil && !o.secured && !o.buried && !o.again && !o.lacks && o.refused == nil
}

// Keep implements engine.Standbys.
func (d *Driver) Keep(record *engine.Record) {
	d.mu.RLock()
	if d.closed || d.abandoned {
		d.mu.RUnlock()
		why := sessionproc.ErrClosed
		if record.Form == engine.FormEnded {
			why = engine.ErrFenced // the session leaves without it
		}
		d.table.Kept(record, why)
		return
	}
	h, sealed := d.parts[record.Partition].sealed[record.ID]
	if sealed && record.Form == engine.FormRunning {
		d.mu.RUnlock()
		if record.Midway {
			d.unsealForRecord(h)
		}
		d.table.Kept(record, engine.ErrSuperseded)
		return
	}
	d.records.Add(1)
	rep, known := record.Mark.(*replicated)
	if !known || rep.dropped {
		rep = d.replicas.meet(record.Partition, record.ID)
		record.Mark = rep
	}
	rep.mu.Lock()
	rep.record, rep.failed = record, false
	if rep.repair {
		rep.repair = false
		d.repaired.Add(int64(len(record.Body)))
	}
	if !sealed {
		rep.kind = record.Kind
		d.reviveLocked(rep)
		rep.r.Change()
		rep.seq = rep.r.Seq
	}
	ends := record.Form == engine.FormEnded // the record may be in use again soon
	o := d.tendOneLocked(rep)
	rep.mu.Unlock()
	d.mu.RUnlock()
	d.settle(o)
	if sealed && ends {
		d.mu.Lock()
		d.endAheadLocked(rep.part, rep.session)
		d.unlock()
	}
}

// unsealForRecord has a session run on here that was sealed while its handler works. The handler waits for a record
// (Session.Save). The session is sealed again when it has one.
func (d *Driver) unsealForRecord(h *handoff) {
	d.Turn(h.part, func(m *ownership.Machine) []ownership.Effect {
		if d.parts[h.part].sealed[h.session] != h {
			return nil
		}
		return m.Unseal(h.part, h.session)
	})
}

// reviveLocked makes the Replica of a session, if it has none.
func (d *Driver) reviveLocked(rep *replicated) {
	if rep.r == nil {
		standbys, least := d.table.Replicas(rep.kind)
		rep.r, rep.hold = ownership.NewReplica(standbys, least, rep.hold), nil
		rep.r.Of = rep
	}
}

// tendOneLocked tells the members what they are to know about a replicated session. The caller holds Driver.mu,
// for reading or writing, and rep.mu.
func (d *Driver) tendOneLocked(rep *replicated) (o outcome) {
	o.rep = rep
	if rep.r == nil {
		return o
	}
	var room [2]ownership.Say
	p := d.m.TendInto(room[:0], rep.part, rep.session, rep.r)
	for _, say := range p.Say {
		switch err := d.tellStandbyLocked(rep, say); {
		case errors.Is(err, errNoRecord):
			o.lacks, o.moves, rep.repair = true, rep.r.Protected(), true
		case errors.Is(err, standby.ErrTooLarge):
			o.record, o.err = rep.takeLocked(), fmt.Errorf("%w: %w", sessionproc.ErrUnavailable, err)
		}
	}
	switch {
	case rep.record == nil && rep.failed:
		// Members may have all of it by now, so that nobody asks for a record. The table was told otherwise: what
		// the session has published waits for one that is durable.
		o.again = o.again || d.hopelessRecordLocked(rep) == nil
	case rep.record == nil:
	case p.Acked >= rep.seq && !d.unjoinedLocked(rep):
		o.record = rep.takeLocked()
	default:
		if o.err = d.hopelessRecordLocked(rep); o.err != nil {
			rep.failed = rep.record.Form == engine.FormRunning // the table itself makes the last record again
			o.record = rep.takeLocked()
		}
	}
	owes := d.m.Owes(rep.part, rep.session)
	if o.lacks && owes { // the member that it was taken from waits
		o.again, o.lacks = true, false
	}
	o.secured = p.Secured && owes
	o.buried = p.Buried
	return o
}

// unjoinedLocked reports whether a member has reported a standby of the session that has seen what its record has
// not. The session joins that first: what is acknowledged must be in one copy.
func (d *Driver) unjoinedLocked(rep *replicated) bool {
	return slices.ContainsFunc(d.parts[rep.part].reports.of[rep.session], func(one reported) bool {
		return !engine.VersionCovers(rep.record.Version, one.version)
	})
}

var errNoRecord = errors.New("no record is here")

// tellStandbyLocked tells a member about its standby.
func (d *Driver) tellStandbyLocked(rep *replicated, say ownership.Say) error {
	var r standby.Record
	err := errNoRecord
	switch {
	case say.What != ownership.ToKeep:
		r.Version, err = d.versionHereLocked(rep.part, rep.session).Append(nil), nil
	case rep.r.Ended:
		tomb := d.parts[rep.part].tombs[rep.session]
		r, err = standby.Record{Form: ownership.Ended, Version: tomb.Append(nil), Life: tomb.AppendLife(nil)}, nil
	case rep.record != nil && rep.seq == say.Seq:
		r, err = recordOf(rep.record), nil
	}
	if err == nil {
		err = d.speaker.Say(rep.part, rep.session, say, r)
	}
	switch {
	case err != nil:
		rep.r.Broken(say.To)
	case say.What == ownership.ToKeep && !rep.r.Ended:
		rep.lent++
	}
	return err
}

func recordOf(r *engine.Record) standby.Record {
	form := ownership.Running
	if r.Form == engine.FormEnded {
		form = ownership.Ended
	}
	return standby.Record{Kind: r.Kind, Form: form, Version: r.Version, Life: r.Life, Body: r.Body}
}

// hopelessRecordLocked returns why a record cannot become durable for now.
func (d *Driver) hopelessRecordLocked(rep *replicated) error {
	switch {
	case d.seen.NoQuorum:
		return sessionproc.ErrNoQuorum
	case d.keepers < rep.r.Min:
		return fmt.Errorf("%w: %d other members keep standbys, KindConfig.MinReplicas is %d",
			sessionproc.ErrUnavailable, d.keepers, rep.r.Min)
	}
	return nil
}

// answeredStandbys takes answers of a member to what it was told about its standbys. It takes some at a time: so
// what has become durable with them is told together.
func (d *Driver) answeredStandbys(all []standby.Answer) {
	d.answeredSteps(all)
	var room [turnsAtOnce]outcome
	for some := range slices.Chunk(all, turnsAtOnce) {
		outcomes := room[:0]
		d.mu.RLock()
		for i := range some {
			if o := d.answeredLocked(&some[i]); !o.idle() {
				outcomes = append(outcomes, o)
			}
		}
		d.mu.RUnlock()
		d.settle(outcomes...)
		clear(outcomes)
	}
}

// answeredLocked takes one answer. The caller holds Driver.mu for reading.
func (d *Driver) answeredLocked(a *standby.Answer) (o outcome) {
	rep := a.Told.Replica().Of.(*replicated)
	if d.closed || rep.dropped {
		return o
	}
	switch a.Verdict {
	case ownership.Later, ownership.Unseen:
		d.tending.retry.Store(true)
	case ownership.NoRoom:
		d.tending.full.Store(true)
	}
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if rep.r != a.Told.Replica() {
		return o // the session was sealed meanwhile
	}
	if a.Told.What == ownership.ToKeep && rep.record != nil && a.Told.Seq == rep.seq {
		rep.lent--
	}
	if d.m.Heard(a.Partition, rep.r, a.Told, a.Verdict, a.Stamp) {
		return outcome{rep: rep, refused: a}
	}
	if a.Verdict == ownership.Fenced { // and the partition is not asked for again
		d.tending.retry.Store(true)
	}
	return d.tendOneLocked(rep)
}

// settle does what is left to do about replicated sessions. The caller holds no lock. Records come first, which callers
// wait for.
func (d *Driver) settle(outcomes ...outcome) {
	concern := false
	for i := range outcomes {
		o := &outcomes[i]
		if o.record != nil {
			d.table.Kept(o.record, o.err)
		}
		concern = concern || o.secured || o.buried || o.refused != nil
	}
	if concern {
		d.mu.Lock()
		for i := range outcomes {
			if !d.closed {
				d.settleLocked(&outcomes[i])
			}
		}
		d.unlock()
	}
	for i := range outcomes {
		o := &outcomes[i]
		if o.refused != nil {
			d.tending.soon(o.refused.Partition)
		}
		if o.again {
			d.table.RecordAgain(o.rep.part, o.rep.session)
		}
		if o.lacks {
			d.repair.add(o.rep, o.moves)
		}
	}
}

// settleLocked is the part of settle that concerns partitions.
func (d *Driver) settleLocked(o *outcome) {
	if a := o.refused; a != nil {
		d.turnLocked(a.Partition, func(m *ownership.Machine) []ownership.Effect {
			return m.Disobeyed(a.Partition, o.rep.session, a.Told, a.Verdict, a.Stamp)
		})
	}
	d.lookAgainLocked(o)
	if o.secured {
		d.turnLocked(o.rep.part, func(m *ownership.Machine) []ownership.Effect {
			return m.Secured(o.rep.part, o.rep.session)
		})
	}
	if o.buried {
		d.turnLocked(o.rep.part, func(m *ownership.Machine) []ownership.Effect { return d.buryLocked(m, o.rep) })
	}
}

// lookAgainLocked brings up to date what o says of a partition. Since that was found out the session may have changed, or
// a standby of it may have been reported.
func (d *Driver) lookAgainLocked(o *outcome) {
	switch {
	case !o.secured && !o.buried:
	case !o.rep.dropped:
		o.rep.mu.Lock()
		now := d.tendOneLocked(o.rep)
		o.rep.mu.Unlock()
		o.secured, o.buried = now.secured, now.buried
		now.secured, now.buried = false, false
		d.settleLater(now)
	default:
		o.buried = false
		o.secured = o.secured && d.replicas.find(o.rep.part, o.rep.session) == nil // else it has come here again
	}
}

// buryLocked forgets the tombstone of a session of which nobody has a standby any more.
func (d *Driver) buryLocked(m *ownership.Machine, rep *replicated) []ownership.Effect {
	ok, effects := m.Buried(rep.part, rep.session)
	if ok {
		d.parts[rep.part].disinter(rep.session)
		d.dropReplicaLocked(rep.part, rep.session, nil)
	}
	return effects
}

// settleLater is settle for a caller that holds Driver.mu.
func (d *Driver) settleLater(o outcome) {
	if !o.idle() {
		d.later = append(d.later, func() { d.settle(o) })
	}
}

// endedReplicaLocked goes on with a session that leaves the table: its standbys are to have its
// tombstone now.
func (d *Driver) endedReplicaLocked(part int, session string, entombed bool) {
	rep := d.replicas.find(part, session)
	switch {
	case rep == nil:
	case !entombed:
		d.dropReplicaLocked(part, session, errGone)
	default:
		rep.mu.Lock()
		d.reviveLocked(rep)
		d.giveUpLocked(rep.takeLocked(), errGone)
		rep.r.Ended = true
		rep.r.Change()
		d.settleLater(d.tendOneLocked(rep))
		rep.mu.Unlock()
	}
}

var (
	errGone       = fmt.Errorf("%w: the session is not here any more", sessionproc.ErrUnavailable)
	errTargetLost = fmt.Errorf("%w: the node that the session was moving to is lost", sessionproc.ErrUnavailable)

	// errGoesOn says besides that the session goes on from what was sealed. So other nodes make their calls again.
	errGoesOn = fmt.Errorf("%w: %w", errTargetLost, engine.ErrFenced)

	errClosed = fmt.Errorf("%w: %w", sessionproc.ErrClosed, engine.ErrFenced) // the same of a node that closes
)

// dropReplicaLocked forgets a replicated session that is not here any more. Its record is answered with err. If it
// was not secured, its source need not wait for that: it has gone on, or is a standby here.
func (d *Driver) dropReplicaLocked(part int, session string, err error) {
	rep := d.replicas.drop(part, session)
	if rep == nil {
		return
	}
	rep.mu.Lock()
	d.giveUpLocked(rep.takeLocked(), err)
	rep.mu.Unlock()
	d.settleLater(outcome{rep: rep, secured: d.m.Owes(part, session)})
}

// giveUpLocked has a record answered with an error.
func (d *Driver) giveUpLocked(r *engine.Record, err error) {
	if r != nil {
		d.later = append(d.later, func() { d.table.Kept(r, err) })
	}
}

// beganReplicaLocked goes on with a session that was started over its tombstone.
func (d *Driver) beganReplicaLocked(part int, session string) {
	rep := d.replicas.find(part, session)
	if rep == nil {
		return
	}
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if rep.r != nil && rep.r.Ended {
		rep.r.Ended, rep.kind = false, d.table.SessionKind(part, session)
		rep.r.Standbys, rep.r.Min = d.table.Replicas(rep.kind)
		rep.r.Change()
	}
}
