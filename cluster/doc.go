// Package cluster knows who is a member. It wraps github.com/hashicorp/memberlist:
// it joins and leaves, finds crashed members, comes together again after a
// partition, and publishes what it sees as immutable [View]s. It knows nothing of
// sessions or of calls between nodes; the network is a transport it is given.
//
// # Members
//
// A member is one boot of one slot ([Member]). The slot is the stable name of a
// replica, the [Boot] is new at every start, and the gossip name is slot/boot, so
// that a replica which restarts is accepted at once, at whatever address, and its
// former self is never mistaken for it. For a while a view may hold several boots of
// a slot; [View.Find] gives the newest.
//
// # What can be relied on
//
//   - Views of different nodes differ for 0.1 to 0.6 s after each change, for as
//     long as detection takes after a crash (2.4 to 3.9 s up to 20 nodes with the
//     Fast profile, 6 to 9 s with LAN), and for the whole of a partition. Nothing
//     may be built on their being equal.
//   - A view is never changed after it was published. [Cluster.View] is one atomic
//     load. [Cluster.Updates] holds the newest view that was not received yet: a slow
//     reader misses views in between, never the last one.
//   - A change of the own state ([Cluster.SetState]) is in the own view at once and
//     everywhere within about a second.
//   - A member that leaves ([Cluster.Leave]) is gone from the other views within
//     about a second and forgotten. One that vanishes otherwise is remembered for 24
//     hours, and about every RejoinInterval up to eight such members and seeds that
//     are not here are tried again: a partition heals within seconds after the
//     network does.
//     (memberlist by itself never heals it once both sides have given each other up.)
//   - Clusters of other names and nodes without one of the gossip keys never mix
//     with this one.
//
// # Strangers
//
// Gossip packets are encrypted and authenticated with the keys, but whoever overhears
// them can send them again, and so raise a member that has left long ago. With
// [Config.Hellos] whoever gossip names counts only once it was met: this node has had a
// hello from it lately, it answers when it is asked, or another member counts it and says
// so. All take that word, so that a cut between two members does not make their views
// differ. Of a member that was gone before, only the word counts that it answers now. Members of
// earlier releases, which cannot be asked, count unmet, and so does what is replayed of
// them: a new key puts an end to that. Whoever has a key is trusted fully.
package cluster
