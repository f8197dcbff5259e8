// Package ring says which member of a cluster should own a session ID.
//
// IDs fall into a fixed number of partitions, partition = xxhash64(id) modulo
// Partitions, and each partition has one owner. A [Ring] is the whole table of
// owners for one set of members, built by consistent hashing with bounded loads
// (github.com/buraksezer/consistent). Members are named by slots: the stable
// names of replicas, so that a replica that restarts in place changes nothing.
//
// # Guarantees
//
//   - A Ring is immutable and safe for concurrent use without locks. A change of
//     members is a new Ring; keep the current one in an atomic.Pointer.
//   - It is a pure function of the [Config] and the set of members: their order,
//     repetitions, and the rings that were there before make no difference. Nodes
//     that agree on the members agree on every owner without exchanging anything.
//     The mapping is pinned by a test; a release that changed it would also change
//     [Config.Fingerprint].
//   - No member owns more than ⌈Load × Partitions / members⌉ partitions.
//   - With the defaults, adding a member to 10 moves about the 1/11 of all
//     partitions that the new member gets, and on average less than 1 % between
//     members that were there before. The latter do happen: code that moves sessions
//     must expect any pair of members.
//   - A look-up allocates nothing and takes a hash of the ID, a division and two
//     array reads.
//
// A [Builder] makes one ring after another for a cluster that changes.
//
// All nodes of a cluster need the same Config. Fingerprint is what they compare,
// and [Config.Describe] is what an error shows when they differ.
package ring
