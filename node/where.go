package node

import (
	"slices"

	"github.com/sessionproc/sessionproc/cluster"
)

// Place is where a session lives or would live.
type Place struct {
	Partition int
	Owner     cluster.Member
	Local     bool // Owner is this node
}

// Where returns where this node would send a request for session id, whether
// or not that session was started. ErrInvalidID for what is no session ID,
// ErrUnavailable while no member serves.
func (n *Node) Where(id string) (Place, error) {
	r, part, err := n.locate(id)
	if err != nil {
		return Place{}, opError("where", id, err)
	}
	owner := r.Owners[part]
	if owner == nil {
		return Place{}, opError("where", id, errNoOwner)
	}
	return Place{Partition: part, Owner: owner.Member, Local: owner.Remote == nil}, nil
}

// Members returns the members that this node sees, sorted by slot and boot,
// itself included: those by which it places sessions at this moment. The slice
// is the caller's.
func (n *Node) Members() []cluster.Member {
	return slices.Clone(n.must().routes.Load().View.Members)
}
