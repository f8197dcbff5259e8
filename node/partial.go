package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// PartialError says that something which asked all nodes has no answer of some of
// them: what was returned with it holds for the others. errors.Is finds the causes.
// Members that are taken for dead are not asked, and not named.
type PartialError struct {
	Nodes map[string]error // by name, slot/boot: why there is no answer
}

// Error names the nodes and the causes.
func (e *PartialError) Error() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Nodes)) {
		parts = append(parts, fmt.Sprintf("%s: %v", name, e.Nodes[name]))
	}
	return fmt.Sprintf("node: %d nodes have not answered: %s", len(parts), strings.Join(parts, "; "))
}

// Unwrap returns the causes.
func (e *PartialError) Unwrap() []error { return slices.Collect(maps.Values(e.Nodes)) }

// add notes why a node has not answered.
func (e *PartialError) add(name string, err error) {
	if e.Nodes == nil {
		e.Nodes = map[string]error{}
	}
	e.Nodes[name] = err
}

// err is e as an error, nil if all have answered.
func (e *PartialError) err() error {
	if len(e.Nodes) == 0 {
		return nil
	}
	return e
}
