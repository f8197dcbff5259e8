package cluster

// View returns what this node sees now. The result is never nil. After Close it
// is the last view.
func (c *Cluster) View() *View { return c.table.view.Load() }

// Met reports whether this node has ever seen another member.
func (c *Cluster) Met() bool { return c.table.hasMet() }
