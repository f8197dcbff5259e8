// Package cluster maintains the membership of a node. It wraps
// github.com/hashicorp/memberlist: it joins and leaves, detects crashed members, heals
// partitions, and publishes what it sees as immutable [View]s. It does not know sessions
// or calls between nodes. The network is a transport that the caller provides.
//
// # Members
//
// A member is one boot of one slot ([Member]). The slot is the stable name of a replica,
// and the [Boot] is new at every start. The gossip name is slot/boot. So a restarted
// replica is accepted at once, at any address, and is never mistaken for its predecessor.
// For a while a view may hold several boots of a slot. [View.Find] returns the newest.
//
// # What can be relied on
//
//   - Views of different nodes differ for 0.1 to 0.6 s after each change, until detection
//     after a crash (up to 20 nodes 1.7 to 2.4 s with the Fast profile, 0.9 to 1.5 s with
//     Eager, 6 to 9 s with LAN; longer if the host has died too, see [Profile]), and for
//     the whole of a partition. No code may rely on equal views.
//   - A view never changes after it was published. [Cluster.View] is one atomic load.
//     [Cluster.Updates] holds the newest view that was not received yet: a slow reader
//     misses views in between, but never the last one.
//   - A change of this node's state ([Cluster.SetState]) is in its own view at once, and
//     in all views within about a second.
//   - A member that leaves ([Cluster.Leave]) disappears from the other views within about
//     a second. A member that vanishes otherwise is remembered for 24 hours. About every
//     RejoinInterval up to eight such members and absent seeds are tried again, so a
//     partition heals within seconds after the network does. (memberlist by itself does
//     not heal a partition once each side has declared the other dead.)
//   - Clusters with other names, and nodes without one of the gossip keys, never mix with
//     this one.
//
// # Strangers
//
// Gossip packets are encrypted and authenticated with the keys, but they can be replayed.
// An attacker that has recorded packets could make a member appear that left long ago. With
// [Config.Hellos] a member that gossip names counts only once it was met. That is so if this
// node has had a hello from it lately, if it answers this node, or if another member counts
// it and says so. Every node believes other members in this respect, so that a cut between
// two members does not make their views differ. About a member that was gone before, a node
// believes only that the member answers now.
//
// Members of earlier releases cannot be asked and count unmet, and so do replayed packets
// about them, until the keys are replaced. A node that has a key is trusted fully.
package cluster
