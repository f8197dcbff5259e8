package engine

import (
	"reflect"
	"slices"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// ContractPart is one of the types by which a kind meets other releases of
// itself: what travels between nodes. It serves package nodetest.
type ContractPart struct {
	// Name is "state", "argument", "add.request", "add.reply", "clear.message", "changed.event",
	// "charge.argument" or, of a task or of a notice for a Result, "charge.result".
	Name   string
	Type   reflect.Type
	Schema int // KindConfig.Schema, of the state only
}

// Contract returns all parts of a kind, the state first, then by name, and
// whatever node.Start would refuse the kind for. It does not count as giving
// the kind to a node.
func Contract(k sessionproc.AnyKind) ([]ContractPart, error) {
	kind := k.Core()
	parts := []ContractPart{{Name: "argument", Type: kind.Argument}}
	for name, b := range kind.ByName {
		if b.Op == core.OpSubscribe {
			parts = append(parts, ContractPart{Name: name + ".event", Type: b.Types[0]})
		} else if b.Op == core.OpTask {
			parts = append(parts, ContractPart{Name: name + ".argument", Type: b.Types[0]},
				ContractPart{Name: name + ".result", Type: b.Types[1]})
		} else if b.Value != nil {
			parts = append(parts, ContractPart{Name: name + ".result", Type: b.Value})
		} else if b.Op == core.OpCast {
			parts = append(parts, ContractPart{Name: name + ".message", Type: b.Types[0]})
		} else {
			parts = append(parts, ContractPart{Name: name + ".request", Type: b.Types[0]},
				ContractPart{Name: name + ".reply", Type: b.Types[1]})
		}
	}
	slices.SortFunc(parts, func(a, b ContractPart) int { return strings.Compare(a.Name, b.Name) })
	return append([]ContractPart{{Name: "state", Type: kind.State, Schema: kind.Settings.Schema}},
		parts...), kind.Maker.Fault(nil)
}

// RestoreState makes a state, a pointer, of an encoded one of the given schema,
// as a node does that a session of the kind moves to. It serves package
// nodetest.
func RestoreState(k sessionproc.AnyKind, schema int, coded []byte) (state any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = core.Panicked("its decoding", cause)
		}
	}()
	state, _, err = k.Core().DecodeState(schema, coded)
	return state, err
}
