package nodetest

import (
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
