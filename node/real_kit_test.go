package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// startNode starts a node of this machine's network that joins others, and closes it after
// the test.
func startNode(t *testing.T, cfg node.Config, others ...*node.Node) *node.Node {
	t.Helper()
	for _, n := range others {
		cfg.Join = append(cfg.Join, n.Addr())
	}
	n, err := node.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// startNodes starts n nodes that know one another.
func startNodes(t *testing.T, n int, secret string) []*node.Node {
	nodes := make([]*node.Node, n)
	for i := range nodes {
		cfg := node.Config{Slot: fmt.Sprintf("n%d", i), Secret: secret, Kinds: []sessionproc.AnyKind{newCounters()},
			DefaultKind: "counter"}
		nodes[i] = startNode(t, cfg, nodes[:min(i, 1)]...)
	}
	require.Eventually(t, func() bool {
		for _, n := range nodes {
			if owners := n.Members(); len(owners) != len(nodes) {
				return false
			}
		}
		return true
	}, 30*time.Second, 10*time.Millisecond)
	return nodes
}

// movesTo makes IDs that belong to the slot among the slots.
func movesTo(t *testing.T, slot string, slots ...string) (id string) {
	t.Helper()
	table, err := ring.New(ring.Config{}, slots)
	require.NoError(t, err)
	for {
		id = sessionproc.NewID()
		if owner, _ := table.OwnerOf(id); owner == slot {
			return id
		}
	}
}
