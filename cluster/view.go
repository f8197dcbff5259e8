package cluster

// View is the members that this node sees at one moment, itself among them (until
// it leaves). It is immutable: read only, for as long as you like.
type View struct {
	Members []Member // sorted by slot, then boot

	// Strangers are those that gossip names and that nobody is known to have met: see
	// Config.Hellos. They are no members yet, or none any more.
	Strangers []Member

	Version uint64 // counts this node's views from 1; says nothing to other nodes
}

// Boots are the members that have that slot, oldest first; usually one. The slice
// is part of the view.
func (v *View) Boots(slot string) []Member {
	from := 0
	for from < len(v.Members) && v.Members[from].Slot != slot {
		from++
	}
	to := from
	for to < len(v.Members) && v.Members[to].Slot == slot {
		to++
	}
	return v.Members[from:to:to]
}

// Find is the newest boot of a slot, whatever its state.
func (v *View) Find(slot string) (m Member, ok bool) {
	boots := v.Boots(slot)
	if len(boots) == 0 {
		return Member{}, false
	}
	return boots[len(boots)-1], true
}

// Serving is the newest serving boot of each slot that has one, sorted by slot. The
// slice is new.
func (v *View) Serving() []Member {
	var serving []Member
	for _, m := range v.Members {
		if m.State != Serving {
			continue
		}
		if last := len(serving) - 1; last >= 0 && serving[last].Slot == m.Slot {
			serving[last] = m
		} else {
			serving = append(serving, m)
		}
	}
	return serving
}
