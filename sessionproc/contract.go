package sessionproc

import (
	"reflect"
	"slices"
	"strings"
)

// ContractPart is one of the types by which a kind meets other releases of
// itself: what travels between nodes. It serves package nodetest.
type ContractPart struct {
	Name string // "state", "argument", "add.request", "add.reply", "clear.message"
	Type reflect.Type
}

// Contract returns all parts of a kind, the state first, then by name, and
// whatever node.Start would refuse the kind for. It does not count as giving
// the kind to a node.
func Contract(k AnyKind) ([]ContractPart, error) {
	core := k.core()
	parts := []ContractPart{{"argument", core.argument}}
	for name, b := range core.byName {
		if b.op == OpCast {
			parts = append(parts, ContractPart{name + ".message", b.types[0]})
		} else {
			parts = append(parts, ContractPart{name + ".request", b.types[0]}, ContractPart{name + ".reply", b.types[1]})
		}
	}
	slices.SortFunc(parts, func(a, b ContractPart) int { return strings.Compare(a.Name, b.Name) })
	return append([]ContractPart{{"state", core.state}}, parts...), core.fault(nil)
}
