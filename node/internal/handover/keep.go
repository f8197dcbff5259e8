package handover

import (
	"fmt"
	"slices"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// keepLocked has those sessions of a partition stay here that are not to be sent to
// the member which asks for it, before any is sealed: they are called here, without a
// pause. These are
//
//   - while the partition is assigned (package route), all, unless this node drains;
//   - of a node that drains, those that the member's release cannot have;
//   - else, of these, those of a kind of which the member has refused one: that one
//     was tried, so that the logs of both have said why.
//
// Of a partition of which sessions are also elsewhere all are sent, for one of the two
// copies to end. A claim that has been looked at is not looked at again.
func (d *Driver) keepLocked(part int, to string, id uint64) []ownership.Effect {
	pt := &d.parts[part]
	if asks, under, ok := d.m.HandingOver(part); !ok || asks != to || under != id || pt.looked == (claimed{to, id}) {
		return nil
	}
	pt.looked = claimed{to, id}
	drains := d.env.Draining()
	lent := d.routes != nil && d.routes.Lent[part] && !drains
	if !lent && (pt.told == pt.looked || !d.roster.Lacks(to)) {
		return nil
	}
	var keep, lacking []string
	told := map[string]bool{}
	ids, _ := d.table.IDs(part)
	for _, session := range ids {
		n, ok := d.table.Travels(part, session)
		why, kind := d.roster.CannotTake(to, n), n.Kind
		switch {
		case kind == "":
		case lent:
			keep = append(keep, session)
		case !ok:
		case why != "" && (drains || d.roster.Refusal(to, kind) != ""):
			why = fmt.Sprintf("kind %q: %s", kind, why)
			keep, lacking = append(keep, session), append(lacking, why)
			pt.rule(session, final{why: why, by: []string{to}})
			if !told[kind] {
				told[kind] = true
				d.hindered("a session stays here, as the member cannot have it", to, session, why)
			}
		}
	}
	if len(keep) == 0 {
		return nil
	}
	if refused := d.env.MoveRefused; refused != nil && len(lacking) > 0 {
		d.later = append(d.later, func() {
			for i, session := range keep {
				refused(Refusal{Session: sessionproc.LogID(session), Peer: to, Cause: lacking[i]})
			}
		})
	}
	return d.m.Keep(part, keep)
}

// noteRefusal notes that a member has refused a session of this node, and why.
func (d *Driver) noteRefusal(member string, msg ownership.Message) {
	if msg.Partition < 0 || msg.Partition >= len(d.parts) {
		return
	}
	kind := d.table.SessionKind(msg.Partition, msg.Session)
	if kind == "" || d.outlined(msg.Partition, msg.Session) {
		return
	}
	first := d.roster.NoteRefusal(member, kind, msg.Cause)
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(msg.Names, isFinal) {
		d.parts[msg.Partition].rule(msg.Session, final{why: msg.Cause, by: []string{member}})
	}
	if !first {
		return
	}
	for i := range d.parts {
		if pt := &d.parts[i]; pt.looked.to == member {
			pt.looked = claimed{} // there may be more of the kind
		}
	}
}
