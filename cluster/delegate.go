package cluster

import (
	"fmt"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. Most calls come while it holds its lock over
// all members: nothing here may wait or call it back, and nothing may keep a
// *memberlist.Node, which it goes on changing.
type delegate struct {
	cluster *Cluster
}

// NodeMeta implements memberlist.Delegate. The limit was checked by Start, and no
// state makes it longer.
func (d delegate) NodeMeta(int) []byte { return *d.cluster.meta.Load() }

// NotifyAlive implements memberlist.AliveDelegate: a member that does not describe
// itself in a way we understand is none to us.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return fmt.Errorf("it describes itself badly: %w", err)
	}
	if m.Name() != n.Name {
		return fmt.Errorf("it describes itself as %q", m.Name())
	}
	return nil
}

// NotifyMerge implements memberlist.MergeDelegate. It hears of each member of the
// side that we join, in particular of those that have left while we were apart.
// It refuses nobody: NotifyAlive does that one by one.
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
	if n.Name != d.cluster.table.self { // of ourselves we know more than what was gossiped last
		d.put(n)
	}
}

// NotifyLeave implements memberlist.EventDelegate. Nothing in the node says whether
// it left or died: what it said of itself before does.
func (d delegate) NotifyLeave(n *memberlist.Node) { d.cluster.table.remove(n.Name) }

func (d delegate) put(n *memberlist.Node) {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return // NotifyAlive has let nobody of that kind in
	}
	d.cluster.table.put(record{meta: m, gossip: n.Address()})
}

// NotifyMsg, GetBroadcasts, LocalState and MergeRemoteState implement
// memberlist.Delegate for messages of our own, of which there are none.
func (delegate) NotifyMsg([]byte) {}

// GetBroadcasts: see NotifyMsg.
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState: see NotifyMsg.
func (delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState: see NotifyMsg.
func (delegate) MergeRemoteState([]byte, bool) {}
