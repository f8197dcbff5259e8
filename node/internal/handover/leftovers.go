package handover

import (
	"maps"
	"slices"
	"strings"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/roster"
)

// Leftover is the sessions of a kind that are left on a node which drains.
type Leftover struct {
	Kind     string
	Sessions int
	Nobody   bool   // can have them
	Why      string // "": it is not known, or there was no time
}

// Leftovers are sorted by kind.
func (d *Driver) Leftovers() (all []Leftover) {
	kinds := d.table.Kinds()
	others := d.otherServers()
	final, reasons := d.finals(others)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		o := Leftover{Kind: kind, Sessions: kinds[kind], Nobody: d.roster.NobodyTakes(kind, others)}
		switch lost := min(final[kind], o.Sessions); {
		case o.Nobody:
			o.Why = d.WhyNobody(kind)
		case lost > 0:
			o.Why, o.Nobody = reasons[kind], lost == o.Sessions
		default:
			o.Why = d.whyRefused(kind, others)
		}
		all = append(all, o)
	}
	return all
}

// NoTakers reports whether all that is left is of kinds that no member can have which
// serves, or will.
func (d *Driver) NoTakers() bool {
	var others []cluster.Member
	for _, m := range d.env.Routes().View.Members {
		if m.Name() != d.env.Name && m.State != cluster.Draining {
			others = append(others, m)
		}
	}
	if d.onlyFinal(others) {
		return true
	}
	kinds := d.table.Kinds()
	for kind := range kinds {
		if !d.roster.NobodyTakes(kind, others) {
			return false
		}
	}
	return len(kinds) > 0 || d.onlyMarksThatNobodyTakes(others)
}

// onlyMarksThatNobodyTakes reports whether marks of renewed sessions are here, and none
// of a kind that one of the members can have.
func (d *Driver) onlyMarksThatNobodyTakes(members []cluster.Member) (marks bool) {
	for part := range d.parts {
		ids, _ := d.table.IDs(part)
		for _, session := range ids {
			n, _ := d.table.Travels(part, session)
			if n.Kind == "" {
				continue
			}
			if !d.roster.NobodyTakes(n.Kind, members) {
				return false
			}
			marks = true
		}
	}
	return marks
}

// WhyNobody says why no other member can have sessions of a kind: members with the same
// reason together.
func (d *Driver) WhyNobody(kind string) string {
	names := map[string][]string{}
	for _, m := range d.otherServers() {
		why := d.roster.CannotTake(m.Name(), d.roster.NeedsOf(kind))
		names[why] = append(names[why], m.Slot)
	}
	var all []string
	for _, why := range slices.Sorted(maps.Keys(names)) {
		all = append(all, roster.Shortened(names[why])+": "+why)
	}
	return strings.Join(all, "; ")
}

// whyRefused says why members have refused sessions of a kind; "": none has.
func (d *Driver) whyRefused(kind string, members []cluster.Member) string {
	for _, m := range members {
		if why := d.roster.Refusal(m.Name(), kind); why != "" {
			return why
		}
	}
	return ""
}
