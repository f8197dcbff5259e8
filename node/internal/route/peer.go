package route

import (
	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/transport"
)

// A Peer is an owner of partitions.
type Peer struct {
	cluster.Member
	Remote *transport.Peer // nil: this node
	name   string
}

// NewPeer returns a member as an owner. remote is nil for this node itself.
func NewPeer(m cluster.Member, remote *transport.Peer) *Peer {
	return &Peer{Member: m, Remote: remote, name: m.Name()}
}

// Name returns slot/boot, as Member.Name does, without making it anew.
func (p *Peer) Name() string { return p.name }
