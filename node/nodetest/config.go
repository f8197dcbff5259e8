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
	// OnStep, if not nil, is told of each Step of each node, and of the other node that has part in it, or -1. With
	// it a test has a node crash at an exact step: OnStep calls Crash or PowerOff of Cluster.Host, from when on
	// nothing leaves that node and nothing reaches it, and the test's goroutine calls Cluster.Crash soon after, for
	// the rest of it. What a step has just put into a connection has left when that instant of virtual time is over,
	// so that another goroutine may crash the node after a time.Sleep(1).
	//
	// It is called from many goroutines, while the nodes hold locks: it must not block, and must not call a node.
	OnStep func(step Step, node, peer int)
}

// maxNodes is how many a cluster can have.
const maxNodes = ring.MaxMembers
