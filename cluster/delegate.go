package cluster

import (
	"fmt"

	"github.com/hashicorp/memberlist"
)

// A delegate has the methods that memberlist calls. memberlist holds the lock
// over all members during most calls. So a method must not wait and must not
// call memberlist, and it must not keep a *memberlist.Node, which memberlist
// goes on changing.
type delegate struct {
	cluster *Cluster
}

// NodeMeta implements memberlist.Delegate. Start has checked the limit, and no
// state makes the record longer.
func (d delegate) NodeMeta(int) []byte { return *d.cluster.meta.Load() }

// NotifyAlive implements memberlist.AliveDelegate. It refuses a member whose
// record is invalid.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return fmt.Errorf("invalid record: %w", err)
	}
	if m.Name() != n.Name {
		return fmt.Errorf("the record is of %q", m.Name())
	}
	return nil
}

// NotifyMerge implements memberlist.MergeDelegate. It learns of each member of
// the side that this node joins, in particular of those that left while the
// sides were apart. It refuses none, since NotifyAlive decides about each.
func (d delegate) NotifyMerge(peers []*memberlist.Node) error {
	for _, n := range peers {
		if n.State == memberlist.StateLeft {
			d.cluster.table.forget(n.Name)
		}
	}
	return nil
}

// NotifyJoin implements memberlist.EventDelegate.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.put(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d delegate) NotifyUpdate(n *memberlist.Node) {
	if n.Name != d.cluster.table.self { // this node's own record is newer here
		d.put(n)
	}
}

// NotifyLeave implements memberlist.EventDelegate. n does not tell whether the
// member left or died. The last record of the member tells.
func (d delegate) NotifyLeave(n *memberlist.Node) { d.cluster.table.remove(n.Name) }

func (d delegate) put(n *memberlist.Node) {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return // cannot happen: NotifyAlive has refused it
	}
	d.cluster.table.put(record{meta: m, gossip: n.Address()})
}

// NotifyMsg, GetBroadcasts, LocalState and MergeRemoteState implement
// memberlist.Delegate for user messages. This package sends none.
func (delegate) NotifyMsg([]byte) {}

// GetBroadcasts: see NotifyMsg.
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState: see NotifyMsg.
func (delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState: see NotifyMsg.
func (delegate) MergeRemoteState([]byte, bool) {}
