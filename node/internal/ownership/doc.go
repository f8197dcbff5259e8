// Package ownership decides which node runs the sessions of a partition while nodes
// come, go and die. It is a pure state machine: no goroutine, clock, I/O or
// randomness. Package node drives it; its tests explore it exhaustively.
//
// # The idea
//
// The ring says who should hold a partition, by one node's view; views differ for a
// while after each change. So holding is a token of its own:
//
// A node takes the token of a partition only when every member that it sees has
// promised: in my view too it is yours, you ask everybody I see, and I take no part
// in it any more. Only then do sessions move to it, from wherever they are.
//
//	joiner T                          S, which holds p
//	   | -- Claim(id, everybody I see) --> |  not yet, unless all of that is so
//	   | <-------------------- Promise --- |  S holds p no more, and serves what runs there
//	   |  T holds p                        |
//	   | -- Pull ------------------------> |  Seal x, snapshot, Commit
//	   | <----------------- Transfer x --- |
//	   |  x runs                           |
//	   | -- Active x --------------------> |  Drop x
//	   | <------------- Forgot x, Done --- |  nothing of p is left at S
//	   |  T is full: what is not here      |
//	   |  does not exist                   |
//
// A promise says, in a Bloom filter, which sessions are there. While T holds p and is
// not full, a session that somebody calls and that is in such a filter is asked for
// first (Find), and when every member has said that it does not have it (Absent) it may
// be started; what is in no filter may be started at once. A session that T cannot take
// (Refuse) stays at S, and T says so to callers. A node that has what is not its own in
// its view offers it to the owner (Offer), which then asks; so two holders, after one of
// them was wrongly declared dead, become one again.
//
// # A driver's duties
//
// The machine knows running sessions only as a number, and by name once they are
// sealed; their contents and versions stay with the driver.
//
//   - Each partition has a read-write lock of the driver's. Starting a session, and
//     denying one, holds it for reading from Who to the deed. A call to the machine
//     that concerns a partition, the execution of its effects and the sending of its
//     messages hold it for writing, with Count first if the number has changed.
//     View, Bootstrap, Welcome and Abandon concern all partitions. Retry changes
//     nothing. Questions about a partition need its lock for reading only.
//   - A session whose start function still runs is a copy, and counted.
//   - Effects are executed in order; Send may fail. A Promise goes with the Filter of
//     all copies that are here at that moment, in whatever state, tombstones too. One
//     without a Filter is right as well, and costs questions.
//   - Sealing: Seal, wait for the handler, snapshot, send all chunks but the last,
//     Commit, send the last. What has been committed is never unsealed but by
//     Resume, and is kept until Drop or Shelve: Transfer may ask for it again, and it
//     must then be the same. A target discards what is incomplete.
//   - A message for a sealed session is answered with where it goes, and its caller
//     sends it there. A cast is acknowledged only by the node in whose process's
//     mailbox it is, behind what has travelled with the session, and returns only
//     then: so two messages of one caller keep their order without the source
//     having to stash and relay any. After Resume they are served here.
//   - Taking: Arrived, decode, then Accept or Refuse, and insert or merge it, all but
//     the decoding under the lock. Of two copies the one whose version vector
//     dominates is kept; if neither does they are merged. A running copy beats a
//     backup.
//   - Retry at growing intervals while something changes.
//   - A driver may hold a claim back, as any message may be late: from the member
//     that had the partition until now, while AwaitsOthers. That one starts sessions
//     until it promises, so nobody can for the time of one answer, not for that of
//     the slowest member. Claim says it then.
//   - TakeoverDelay is the driver's: a member is Dead for so long, then Gone.
//
// # Chunks
//
// Between Seal and Commit a session is sealed and not sent. If its claim becomes void
// meanwhile, as the target has gone or another node claims, Resume makes it run on at
// once: the target has discarded what is incomplete, or will. From Commit on, that is
// from the moment at which the target may have the last chunk, only the target
// decides: a sealed copy whose target has gone never runs again by itself, it becomes
// a backup for the next holder.
//
// # Ended sessions
//
// A session that ends while older copies of it may be about (a sealed copy whose
// Active is under way, a backup at a member that has not been asked to the end)
// leaves a tombstone, which is the driver's record of its name and version. It
// moves as a backup does, and a copy that it dominates is discarded. It is buried
// when the holder is certain that no other copy is left: with Quiet partitions that
// is at once, so none is made. It does not outlive the node that has it: who must
// know that an end is for good waits for Final.
//
// # Several partitions in one message
//
// Partitions share nothing but the view, so a message with many of them is as good
// as many messages, and one that is lost, as if all were. AppendMessages writes such
// a batch.
//
// # Leaving at the deadline
//
// When time is over before MayLeave, Abandon ends what is left. The node then has
// no copies, so it can do no harm as a holder; but if it goes before the others know
// one another, two of them may never have met and both take its partitions. So the
// answers to Bye are worth a short wait even then. Sessions that were sent and not
// answered have been taken, or are lost with the node; one that was taken from a node
// which does not know that yet comes back there in the state in which it was sent.
//
// # What is promised
//
// Claims about every reachable state, checked by an explorer that drives this very
// machine within the scopes that the tests list: three and four nodes, messages that
// are lost, repeated, and come in any order, views learnt in any order. It is bounded
// checking, not a proof. go test -v -run 'Explore|Walks' prints what was seen;
// -explore.full goes through every scope with every owner table. Each rule without
// which a trace of at most some thirty steps breaks a claim has a test that switches
// it off and finds one.
//
//   - I1: when B becomes holder, there is no holder A such that B saw A present when
//     B was elected and A saw B present when A was.
//   - I2: if no live member is declared dead, joins wait for Welcome, leaves for
//     MayLeave, and the cluster was bootstrapped once: at most one holder of a
//     partition and one running copy of a session, over all orders of views, losses,
//     repetitions and delays. Crashes and their detection may happen.
//   - I3: the same and no crash: a copy of every session exists at all times, and
//     what may be started or denied has no copy elsewhere.
//   - I4: from every reachable state, once views converge and messages are repeated
//     until they arrive: the owner is full holder, nobody else has a token or a copy
//     (but for refused sessions, which stay), each session runs once, and every
//     draining node may leave.
//   - I5: after false deaths and return, without a crash, the copy that is left
//     contains every change of either side.
//   - I6: after a crash a session survives if a copy was at a live node that had not
//     been sent Active for it.
//   - I7: a session that has ended does not come back, unless a live member was
//     declared dead or the node that knew of the end has died.
//
// Known holes: the introducer of a joiner crashes before anyone else has heard of
// the joiner, and all others leave before they do. It is a second bootstrap, and
// heals as one: by rejoining, and Offer. A member that gossips but does not answer
// holds up every claim that asks it (Claiming names it).
package ownership
