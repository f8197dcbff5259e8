package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// tuned starts a simulated cluster whose Configs tune has changed.
func tuned(t *testing.T, nodes int, tune func(i int, cfg *node.Config), kinds ...nodetest.KindFunc) *nodetest.Cluster {
	t.Helper()
	return nodetest.Start(t, nodetest.Config{Nodes: nodes, Kinds: kinds, Tune: tune})
}

// silent is a Tune of nodes that log nothing.
func silent(_ int, cfg *node.Config) { cfg.Logger = slog.New(slog.DiscardHandler) }

// idAt makes a random ID that node i owns.
func idAt(c *nodetest.Cluster, i int) string {
	for {
		if id := sessionproc.NewID(); c.Owner(id) == i {
			return id
		}
	}
}

// owned returns the first IDs with a prefix that node i owns.
func owned(c *nodetest.Cluster, i, count int, prefix string) (ids []string) {
	for k := 0; len(ids) < count; k++ {
		if id := fmt.Sprint(prefix, k); c.Owner(id) == i {
			ids = append(ids, id)
		}
	}
	return ids
}

// ownedBy returns the first ID with a prefix that node i owns.
func ownedBy(c *nodetest.Cluster, i int, prefix string) string { return owned(c, i, 1, prefix)[0] }

// startOn starts counters that node i of the cluster owns, at 0, 1 and so on.
func startOn(t *testing.T, c *nodetest.Cluster, i, count int) (ids []string) {
	t.Helper()
	ids = owned(c, i, count, "counter-")
	for k, id := range ids {
		require.NoError(t, counters.Start(t.Context(), c.Caller(), id, k))
	}
	return ids
}

// lasting is a ctx of a test with a deadline.
func lasting(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
