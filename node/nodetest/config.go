package nodetest

import (
	"testing"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// KindFunc makes a kind; each node is given one of its own.
type KindFunc func() sessionproc.AnyKind

// Kind makes a KindFunc of a constructor such as
//
//	func NewCarts() *sessionproc.Kind[Cart, sessionproc.None]
func Kind[K sessionproc.AnyKind](make func() K) KindFunc {
	return func() sessionproc.AnyKind { return make() }
}

// Config sets up a Cluster. Its zero value makes three nodes without kinds.
type Config struct {
	// Nodes is how many nodes to start, at most 1024. Default 3.
	Nodes int
	// Kinds are what every node is given; the first one is the default kind.
	Kinds []KindFunc
	// Network is how the nodes are connected. Default 500 µs, no loss.
	Network simnet.Config
	// Tune, if not nil, may change the Config of node i before each of its
	// starts: timeouts, a Logger, a Secret. Addresses, Slot and Join are the
	// cluster's own.
	Tune func(i int, cfg *node.Config)
}

// maxNodes is how many a cluster can have.
const maxNodes = ring.MaxMembers

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
