package route

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/sessionproc/sessionproc/cluster"
)

// While a node drains whose sessions the members of an earlier release cannot have, it
// assigns partitions to a member that can: that one owns them, in place of the one
// that the ring says, for as long as the draining node says so (package handover, takers.go). Each
// node's view has it in the member's record, so that those who see the same place
// partitions alike; the protocol takes a change of owners as any other.
//
// Only sessions of draining nodes move then. Those of the ring's owner, and others
// that stay elsewhere, stay where they are (package handover, keep.go): the partition comes back, and
// sessions of an earlier release that had been brought up to a later one could not.

// assignment is what one draining member has assigned.
type assignment struct {
	by, to  string // names
	numbers []uint16
}

// assigned are the assignments of a view, in its order.
func assigned(view *cluster.View) (all []assignment) {
	for _, m := range view.Members {
		if m.State != cluster.Draining || len(m.Assigned.Numbers) == 0 {
			continue
		}
		for _, to := range view.Serving() {
			if nameHash(to.Name()) == m.Assigned.To {
				all = append(all, assignment{m.Name(), to.Name(), m.Assigned.Numbers})
			}
		}
	}
	return all
}

func sameAssigned(a, b []assignment) bool {
	return slices.EqualFunc(a, b, func(x, y assignment) bool {
		return x.by == y.by && x.to == y.to && slices.Equal(x.numbers, y.numbers)
	})
}

// Assign returns what a draining member makes known: partitions are assigned to a member.
// Of no partitions it is the end of that.
func Assign(to cluster.Member, parts []int) (a cluster.Assigned) {
	for _, part := range parts {
		a.To, a.Numbers = nameHash(to.Name()), append(a.Numbers, uint16(part))
	}
	return a
}

// nameHash stands for a member's name in Assigned.To.
func nameHash(name string) uint64 { return xxhash.Sum64String(name) }

// assign returns the owners of the partitions when some are assigned, and which are: of
// several assignments of one the first holds. placed are the owners as the ring says.
func assign(placed []*Peer, all []assignment, peers map[string]*Peer) (owners []*Peer, lent map[int]bool) {
	if len(all) == 0 {
		return placed, nil
	}
	owners, lent = slices.Clone(placed), map[int]bool{}
	for _, a := range all {
		for _, number := range a.numbers {
			if part := int(number); part < len(owners) && !lent[part] {
				lent[part] = true
				owners[part] = peers[a.to]
			}
		}
	}
	return owners, lent
}
