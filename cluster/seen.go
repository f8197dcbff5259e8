package cluster

// View returns what this node sees now. The result is never nil. After Close it
// is the last view.
func (c *Cluster) View() *View { return c.table.view.Load() }

// HealthScore is how much this node doubts itself, as its probes fail or come late: 0 is well, and
// 8 the worst.
func (c *Cluster) HealthScore() int { return c.list.GetHealthScore() }

// Met reports whether this node has ever seen another member.
func (c *Cluster) Met() bool { return c.table.hasMet() }
