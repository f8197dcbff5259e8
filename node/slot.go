package node

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sessionproc/sessionproc/cluster"
)

// ErrSlotInUse is in the error of a Start whose Slot another living node has.
var ErrSlotInUse = errors.New("slot in use")

// newerBoot says that the cluster knows a newer boot of this slot: the clock has
// gone backwards since. The name of a boot cannot be changed once it has joined,
// so the start is to be made again, above it.
type newerBoot struct{ boot cluster.Boot }

func (e *newerBoot) Error() string {
	return fmt.Sprintf("a newer boot %v of this slot is known", e.boot)
}

// checkSlot fails if another living node has this node's slot, or if a former
// boot of it is the newer one. A former boot of the same address cannot be
// alive, as this node has its port.
func (n *Node) checkSlot() error {
	view := n.cluster.View()
	boots := slices.Clone(view.Boots(n.self.Slot))
	for _, m := range view.Strangers { // nobody has met them lately; they may live all the same
		if m.Slot == n.self.Slot {
			boots = append(boots, m)
		}
	}
	for _, m := range boots {
		if m.Boot != n.self.Boot && m.Addr != n.self.Addr && m.State != cluster.Draining {
			return fmt.Errorf("%w: %q is the node at %s, this one is at %s; give each replica a Config.Slot of its own",
				ErrSlotInUse, n.self.Slot, m.Addr, n.self.Addr)
		}
	}
	older := func(a, b cluster.Member) int { return cmp.Compare(a.Boot, b.Boot) }
	if newest := slices.MaxFunc(boots, older); newest.Boot > n.self.Boot {
		return &newerBoot{newest.Boot}
	}
	return nil
}
