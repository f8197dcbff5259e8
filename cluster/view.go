package cluster

// A View is the members that this node sees at one moment, including itself
// until it leaves. A View is immutable, and may be kept for any time.
type View struct {
	Members []Member // sorted by slot, then boot

	// Strangers are named in gossip, but no member is known to have met them; see
	// Config.Hellos. They are not members yet, or not any more.
	Strangers []Member

	Version uint64 // counts the views of this node from 1; has no meaning for other nodes
}

// Boots returns the members with that slot, oldest first. Usually there is one.
// The result is a part of the view and must not be changed.
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

// Find returns the newest boot of a slot in any state.
func (v *View) Find(slot string) (m Member, ok bool) {
	boots := v.Boots(slot)
	if len(boots) == 0 {
		return Member{}, false
	}
	return boots[len(boots)-1], true
}

// Serving returns the newest serving boot of each slot that has one, sorted by
// slot. The slice is new.
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
