package nodetest

import (
	"testing"

	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

// NewCluster starts n nodes that are given the kinds, and returns when all know
// of each other. They are closed when the test ends. What goes wrong in it and
// in the methods of Cluster ends the test, so they must be called from the
// test's own goroutine, unless they say otherwise.
func NewCluster(t testing.TB, n int, kinds ...KindFunc) *Cluster {
	t.Helper()
	return Start(t, Config{Nodes: n, Kinds: kinds})
}

// Start is NewCluster with all settings.
func Start(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	if cfg.Nodes < 0 {
		t.Fatalf("nodetest: Config.Nodes is negative (%d)", cfg.Nodes)
	}
	if cfg.Nodes > maxNodes {
		t.Fatalf("nodetest: Config.Nodes is %d, at most %d are possible", cfg.Nodes, maxNodes)
	}
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	network, err := simnet.New(cfg.Network)
	if err != nil {
		t.Fatalf("nodetest: Config.Network: %v", err)
	}
	c := &Cluster{t: t, cfg: cfg, net: network, bubble: inBubble(), log: &testLog{t: t}}
	t.Cleanup(c.close)
	for range cfg.Nodes {
		c.Add()
	}
	c.Settle()
	return c
}
