package handover

import (
	"errors"
	"slices"
	"strings"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A session that this node refuses for good stays where it is. If another copy of it runs
// here, or stays at another member, one of the two has to end all the same: which one that
// is, this node decides, as what that takes travels outside of the state.

// endsFor is how a name in a Refused begins that tells its source to end the session, for
// the reason that follows: another copy of it goes on. Members of earlier releases do not
// know it: there the session goes on, too, until it ends by itself or can move.
const endsFor = "ends:"

// comeAll is in a claim for a partition of which sessions that stay at the source have
// another copy: they are to be sent, though they are known to be refused, for one of the
// two to end. Members of earlier releases do not know it.
const comeAll = "all"

// declineLocked refuses a session, if the machine agrees.
func (d *Driver) declineLocked(m *ownership.Machine, a *arrival) []ownership.Effect {
	take, effects := m.Arrived(a.part, a.Incoming)
	effects = d.copyLocked(effects)
	if !take {
		return effects
	}
	r := declined{from: a.From, id: a.ID, kind: engine.SnapshotKind(a.body), cause: a.err.Error()}
	if !passes(a.err) {
		r.names = []string{isFinal}
		if reason := d.contestLocked(a, &r); reason != "" {
			r.names = []string{endsFor + string(reason), isFinal}
		}
	}
	pt := &d.parts[a.part]
	if old, stays := pt.refused[a.Session]; !stays || old.from == a.From || len(r.names) < 2 {
		put(&pt.refused, a.Session, r)
	}
	return append(effects, m.Refuse(a.part, a.Incoming, r.cause, r.names...)...)
}

// contestLocked decides between a session that is refused for good and another copy of it.
// It returns why the refused one has to end; "": it goes on.
func (d *Driver) contestLocked(a *arrival, r *declined) sessionproc.Reason {
	var err error
	if r.rival, err = engine.SnapshotRival(a.body); err != nil || a.Form != ownership.Running {
		return ""
	}
	ends, after, decided := d.table.Contest(a.part, a.Session, r.rival)
	if decided {
		d.later = append(d.later, after)
		return ends
	}
	old := d.parts[a.part].refused[a.Session]
	if old.from == a.From || len(old.names) == 0 || !d.m.HasCopy(a.part, old.from, a.Session) {
		return ""
	}
	if yields, reason := r.rival.Yields(old.rival); yields {
		if session, kind := a.Session, r.kind; reason == sessionproc.ReasonConflict {
			d.later = append(d.later, func() { d.table.NoteConflict(session, kind) })
		}
		return reason
	}
	return "" // the other one is told when it is asked again
}

// outlineLocked sends the outline of a session that cannot be encoded to a member that has
// asked for all sessions, as it knows of another copy. What it answers is for the session.
func (d *Driver) outlineLocked(h *handoff) (sent bool) {
	pt := &d.parts[h.part]
	if pt.told != (claimed{h.lane.to, h.id}) || pt.sealed[h.session] != h {
		return false
	}
	b, err := d.table.Outline(h.part, h.session)
	if err != nil {
		return false
	}
	h.snapshot, h.err, h.outline = b, nil, true
	d.bytes.Add(int64(len(b)))
	h.lane.add(h)
	return true
}

// outlined reports whether what a member refuses is an outline, which all members do.
func (d *Driver) outlined(part int, session string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	h := d.parts[part].sealed[session]
	return h != nil && h.outline
}

// passes reports whether a cause may have gone a little later.
func passes(err error) bool {
	return slices.ContainsFunc([]error{sessionproc.ErrTooManySessions, sessionproc.ErrMemoryMark,
		sessionproc.ErrOverloaded, sessionproc.ErrClosed},
		func(passing error) bool { return errors.Is(err, passing) })
}

// explain gives the cause of a refusal to what tells a member of it once more.
func (r declined) explain(to string, msg *ownership.Message) {
	if r.from == to && r.id == msg.ID && !msg.Flag {
		msg.Cause, msg.Names = r.cause, r.names
	}
}

// losesLocked returns what ends a session that was sent to a member, and that this member
// has refused with a message as another copy goes on; nil: it goes on.
func (d *Driver) losesLocked(from string, msg *ownership.Message) (ends func()) {
	if msg.Kind != ownership.Refused || msg.Partition < 0 {
		return nil
	}
	h := d.parts[msg.Partition].sealed[msg.Session]
	if h == nil || !h.sent || h.lane.to != from || h.id != msg.ID || h.form != ownership.Running {
		return nil // it is said again, or late
	}
	for _, name := range msg.Names {
		if reason, told := strings.CutPrefix(name, endsFor); told {
			part, session := msg.Partition, msg.Session // the message's memory is used again
			return func() { d.table.Lose(part, session, sessionproc.Reason(reason)) }
		}
	}
	return nil
}
