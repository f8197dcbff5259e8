package handover

import (
	"maps"
	"slices"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A session that has to move may be refused for a cause that passes, such as MaxSessions,
// or for good: its state cannot be encoded or decoded, or is too large, its kind is not
// known. A node that drains waits for the former, and not for what no member can have.

// isFinal is in the names of a Refused whose cause does not pass. Members of earlier
// releases neither send nor read it.
const isFinal = "final"

// rule notes that a session of the partition cannot move.
func (pt *driven) rule(session string, f final) {
	if old, ok := pt.final[session]; ok && len(f.by) > 0 && !slices.Contains(old.by, f.by[0]) {
		f.by = append(f.by, old.by...)
	}
	put(&pt.final, session, f)
}

// ForgetFinals has all sessions tried again.
func (d *Driver) ForgetFinals() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.parts {
		d.parts[i].final = nil
	}
}

func (d *Driver) finalIn(part int) map[string]final {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return maps.Clone(d.parts[part].final)
}

// hopeless reports whether a member certainly does not take a session that needs n. What
// one member refuses for good, another of the same release refuses too.
func (d *Driver) hopeless(f final, n engine.Needs, member string) bool {
	switch {
	case f.why != "" && len(f.by) == 0, slices.Contains(f.by, member), d.roster.CannotTake(member, n) != "":
		return true
	}
	r := d.roster.Release(member)
	return r != nil && !r.OnlyNames() && slices.ContainsFunc(f.by, func(by string) bool {
		refuser := d.roster.Release(by)
		return refuser != nil && refuser.Equal(r)
	})
}

// hopelessIn returns of the sessions of a partition that cannot move those that none of
// some members can have.
func (d *Driver) hopelessIn(part int, members []cluster.Member) (lost map[string]final) {
	for session, f := range d.finalIn(part) {
		n, _ := d.table.Travels(part, session)
		possible := func(m cluster.Member) bool { return !d.hopeless(f, n, m.Name()) }
		if n.Kind != "" && !slices.ContainsFunc(members, possible) {
			put(&lost, session, f)
		}
	}
	return lost
}

// onlyFinal reports whether something is here, and nothing that one of some members can
// have.
func (d *Driver) onlyFinal(members []cluster.Member) (some bool) {
	if len(members) == 0 {
		return false
	}
	for part := range d.parts {
		count := d.table.Count(part)
		if count == 0 {
			continue
		}
		if some = true; len(d.finalIn(part)) < count || len(d.hopelessIn(part, members)) < count {
			return false
		}
	}
	return some
}

// finals returns by kind how many sessions none of some members can have, and why that
// is so of one of them.
func (d *Driver) finals(members []cluster.Member) (count map[string]int, why map[string]string) {
	count, why = map[string]int{}, map[string]string{}
	for part := range d.parts {
		for session, f := range d.hopelessIn(part, members) {
			if kind := d.table.SessionKind(part, session); kind != "" {
				count[kind]++
				why[kind] = f.why
			}
		}
	}
	return count, why
}
