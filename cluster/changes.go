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

// logChanges logs the differences between two views, except those of this node
// itself.
func (c *Cluster) logChanges(old, new *View) {
	self := c.cfg.Self.Name()
	for _, m := range new.Members {
		before, known := find(old, m)
		switch {
		case m.Name() == self:
		case !known:
			c.log.Info("member joined", "peer", m.Name(), "addr", m.Addr, "state", m.State.String())
		case before.State != m.State:
			c.log.Info("member changed", "peer", m.Name(), "state", m.State.String())
		}
	}
	for _, m := range old.Members {
		if _, here := find(new, m); here || m.Name() == self {
			continue
		}
		if c.table.isMissing(m.Name()) {
			c.log.Warn("member lost", "peer", m.Name(), "addr", m.Addr)
		} else {
			c.log.Info("member left", "peer", m.Name())
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
