package cluster

import "slices"

// suspectFormer suspects the members at whose address a later boot has joined: no two
// processes listen there.
func (c *Cluster) suspectFormer(old, new *View) {
	for _, m := range new.Members {
		if _, known := find(old, m); known {
			continue
		}
		for _, former := range new.Members {
			if former.Addr == m.Addr && former.Boot < m.Boot {
				c.Suspect(former.Name())
			}
		}
	}
}

// What Config.Changed is told.
const (
	Joined  = "joined"
	Changed = "changed" // its state
	Left    = "left"    // it has said so
	Lost    = "lost"    // it has died or seems to have died
)

// logChange logs a change of another member.
func (c *Cluster) logChange(change string, m Member) {
	switch change {
	case Joined:
		c.log.Info("member joined", "peer", m.Name(), "addr", m.Addr, "state", m.State.String())
	case Changed:
		c.log.Info("member changed", "peer", m.Name(), "state", m.State.String())
	case Left:
		c.log.Info("member left", "peer", m.Name())
	case Lost:
		c.log.Warn("member lost", "peer", m.Name(), "addr", m.Addr)
	}
}

// logChanges tells or logs the differences between two views, except those of this node
// itself.
func (c *Cluster) logChanges(old, new *View) {
	self, tell := c.cfg.Self.Name(), c.cfg.Changed
	if tell == nil {
		tell = c.logChange
	}
	for _, m := range new.Members {
		before, known := find(old, m)
		switch {
		case m.Name() == self:
		case !known:
			tell(Joined, m)
		case before.State != m.State:
			tell(Changed, m)
		}
	}
	for _, m := range old.Members {
		if _, here := find(new, m); here || m.Name() == self {
			continue
		}
		if c.table.isMissing(m.Name()) {
			tell(Lost, m)
		} else {
			tell(Left, m)
		}
	}
}

// find returns the member of v that has the name of m.
func find(v *View, m Member) (Member, bool) {
	i, ok := slices.BinarySearchFunc(v.Members, m, compareMembers)
	if !ok {
		return Member{}, false
	}
	return v.Members[i], true
}
