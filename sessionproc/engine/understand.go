package engine

import (
	"slices"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Understanding is what the sessions of a kind understand on a node. Nodes of two releases
// differ in it. It serves package node, and travels: fields may be added.
type Understanding struct {
	Name    string
	Schema  int      `msgpack:",omitempty"` // KindConfig.Schema
	Methods []string `msgpack:",omitempty"` // sorted, as the next ones are
	Notices []string `msgpack:",omitempty"`
	Events  []string `msgpack:",omitempty"`
	Tasks   []string `msgpack:",omitempty"`
}

// Understood returns what all kinds of the table understand, sorted by name.
func (t *Table) Understood() []Understanding {
	all := make([]Understanding, 0, len(t.kinds))
	for _, k := range t.kinds {
		c := Understanding{Name: k.Name, Schema: k.Settings.Schema}
		for name, b := range k.ByName {
			switch b.Op {
			case core.OpCall:
				c.Methods = append(c.Methods, name)
			case core.OpCast:
				c.Notices = append(c.Notices, name)
			case core.OpSubscribe:
				c.Events = append(c.Events, name)
			case core.OpTask:
				c.Tasks = append(c.Tasks, name)
			}
		}
		for _, names := range [][]string{c.Methods, c.Notices, c.Events, c.Tasks} {
			slices.Sort(names)
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Understanding) int { return strings.Compare(a.Name, b.Name) })
	return all
}
