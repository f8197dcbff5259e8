package nodetest

import (
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
)

const (
	settleTimeout = 90 * time.Second // a healed partition takes up to 15 s
	settleStep    = 20 * time.Millisecond
	settleProbes  = 256 // IDs whose owners are compared
)

// Settle waits until all running nodes that can reach one another, directly or
// through others, see the same members, serving but for those that drain, and place
// sessions on the same owners. Nodes that crashed, left, stalled or are cut off count
// as gone, so Settle waits until the others have noticed. It does not wait for sessions:
// two copies of one meet, and sessions move to their new owners, a moment later, so let a
// second of virtual time pass before you look at them. If the nodes do not agree in 90 s
// Settle ends the test and says who sees whom.
func (c *Cluster) Settle() {
	c.t.Helper()
	deadline := time.Now().Add(settleTimeout)
	for {
		if c.bubble {
			synctest.Wait()
		}
		unsettled := c.unsettled()
		if unsettled == "" {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("nodetest: the cluster has not settled after %v:\n%s", settleTimeout, unsettled)
		}
		time.Sleep(settleStep)
	}
}

// unsettled says what is not as it should be, or "".
func (c *Cluster) unsettled() string {
	var faults strings.Builder
	for _, group := range c.groups() {
		var want []string
		for _, m := range group {
			name := m.node.Name()
			if m.node.Progress().Draining {
				name += " (" + cluster.Draining.String() + ")"
			}
			want = append(want, name)
		}
		slices.Sort(want)
		for _, m := range group {
			if got := serving(m.node.Members()); !slices.Equal(got, want) {
				fmt.Fprintf(&faults, "%s sees %v, not %v\n", m.node.Name(), got, want)
			}
		}
		if faults.Len() == 0 {
			faults.WriteString(disagreement(group))
		}
	}
	return faults.String()
}

// serving returns the names of members, those that do not serve with their state.
func serving(members []cluster.Member) []string {
	var names []string
	for _, m := range members {
		name := m.Name()
		if m.State != cluster.Serving {
			name += " (" + m.State.String() + ")"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// disagreement finds a session that two nodes look for in different places.
func disagreement(group []*member) string {
	for i := range settleProbes {
		id := fmt.Sprintf("nodetest-%d", i)
		first, err := group[0].node.Where(id)
		if err != nil {
			return fmt.Sprintf("%s: %v\n", group[0].node.Name(), err)
		}
		for _, m := range group[1:] {
			place, err := m.node.Where(id)
			if err != nil || place.Owner.Slot != first.Owner.Slot || place.Owner.Boot != first.Owner.Boot {
				return fmt.Sprintf("%s and %s disagree about the owner of a partition: %s, %s (%v)\n",
					group[0].node.Name(), m.node.Name(), first.Owner.Name(), place.Owner.Name(), err)
			}
		}
	}
	return ""
}

// groups returns the running nodes, each with those it can reach.
func (c *Cluster) groups() [][]*member {
	left := c.running()
	c.mu.Lock()
	defer c.mu.Unlock()
	var groups [][]*member
	for len(left) > 0 {
		group := left[:1:1]
		left = left[1:]
		for k := 0; k < len(group); k++ {
			var rest []*member
			for _, m := range left {
				if c.cuts[[2]int{min(m.index, group[k].index), max(m.index, group[k].index)}] {
					rest = append(rest, m)
				} else {
					group = append(group, m)
				}
			}
			left = rest
		}
		groups = append(groups, group)
	}
	return groups
}
