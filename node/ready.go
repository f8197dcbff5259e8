package node

import (
	"errors"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Why a node is not ready.
var (
	errLeaving = errors.New("node: leaving the cluster")
	errDrains  = errors.New("node: draining: sessions are moving to other members (Drain)")
	errAlone   = errors.New("node: no seed has answered yet (Config.Join, Config.AllowAlone)")
)

// Ready returns nil while the node should get traffic, and otherwise the
// reason why not: for the readiness probe of a load balancer. A node that is
// not ready still forwards requests until it is closed.
func (n *Node) Ready() error {
	if n == nil {
		return errNil
	}
	switch {
	case n.evicted.Load():
		return errEvicted
	case n.routes.Load().Closed:
		return sessionproc.ErrClosed
	case n.leaving.Load():
		return errLeaving
	case n.draining.Load():
		return errDrains
	case n.cluster.Alone():
		return errAlone
	case !n.standing.hasQuorum():
		return sessionproc.ErrNoQuorum
	}
	return nil
}
