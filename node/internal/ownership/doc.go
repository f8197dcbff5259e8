// Package ownership decides which node runs the sessions of a partition while nodes
// join, leave and die. It is a pure state machine, without goroutines, clock, I/O or
// randomness. Package node drives it. The tests of this package explore its states
// exhaustively.
//
// # The idea
//
// The ring says which node should hold a partition, in the view of one node. Views
// differ for a while after each change of the cluster, so the ring alone would let two
// nodes run the same session. Therefore holding a partition is a token of its own:
//
// A node takes the token of a partition only when every member that it sees has
// promised. A promise says: in my view too the partition is yours, you ask every member
// that I see, and I take no part in it any more. Only then do sessions move to the new
// holder, from wherever they are.
//
//	joiner T                          S, which holds p
//	   | -- Claim(id, all that I see) ---> |  NotYet, unless S can promise
//	   | <-------------------- Promise --- |  S holds p no more, and serves what runs there
//	   |  T holds p                        |
//	   | -- Pull ------------------------> |  Seal x, snapshot, Commit
//	   | <----------------- Transfer x --- |
//	   |  x runs                           |
//	   | -- Active x --------------------> |  Drop x
//	   | <------------- Forgot x, Done --- |  nothing of p is left at S
//	   |  T is full: a session that is     |
//	   |  not at T does not exist          |
//
// A promise carries a Bloom filter of the sessions at its sender (see Filter). While T
// holds p and is not full, T must know of a called session whether some member still has
// it. If no filter contains the session, T may start it at once. Otherwise T asks for it
// ahead of the others (Find), and may start it when every member has answered that it
// has none (Absent).
//
// A session that T cannot take (Refuse) stays at S, and T sends callers there. A node
// that has sessions of a partition that another node owns in its view offers them to the
// owner (Offer), and the owner then claims from it. So two holders become one again
// after one of them was wrongly declared dead.
//
// # A driver's duties
//
// The machine knows running sessions only as a number, and by name once they are
// sealed; their contents and versions stay with the driver.
//
//   - The driver has a read-write lock for each partition. To start a session, or to
//     answer that it does not exist, the driver holds the lock for reading from Who to
//     the act: the answer must still be true when the driver acts on it. It holds the
//     lock for writing during a call to the machine that concerns the partition, the
//     execution of the effects, and the queueing of the messages, and it calls Count
//     first if the number has changed. View, Bootstrap, Welcome, Abandon and the messages
//     of NoPartition concern all partitions. Retry changes nothing. Questions about a
//     partition need its lock for reading only.
//   - Each change of a session with standbys makes a record, an answer and two calls of
//     Tend. For these the lock for reading is enough: MayRecord, Stamp, Tend, Heard and Owes
//     are questions, and the driver guards each Replica by itself. Only what they report to
//     concern the partition goes on to Record, Disobeyed or Secured, under the lock for
//     writing.
//   - A session whose start function still runs is a copy, and counted.
//   - The driver executes effects in order. Send may fail. The driver adds to a Promise
//     the Filter of all copies that are here at that moment, in any state, including
//     tombstones. A Promise without a Filter is correct too, but costs questions.
//   - Sealing: Seal, wait for the handler, snapshot, send all chunks but the last,
//     Commit, send the last. Only Resume unseals a committed session. The driver keeps
//     its encoded form until Drop or Shelve, because Transfer may ask for it again and
//     the bytes must then be the same. A target discards incomplete sessions.
//   - A message for a sealed session is answered with the session's new place, and its
//     caller sends it there. Only the node whose process has a cast in its mailbox
//     acknowledges it, behind the messages that travelled with the session, and only
//     then does Cast return. So two messages of one caller keep their order, and the
//     source need not store and relay any. After Resume messages are served here.
//   - Taking: Arrived, decode, then Accept or Refuse, and insert or merge it, all but
//     the decoding under the lock. Of two copies the driver keeps the one whose version
//     vector dominates. If neither dominates, it merges them. A running copy beats a
//     backup.
//   - Retry at growing intervals while something changes.
//   - A driver may hold back the claim to the present holder while AwaitsOthers reports
//     true; to the machine the message is late. The holder starts sessions until it
//     promises, so no node can start one for the time of one answer instead of the
//     answer of the slowest member. Claim repeats the message when its time has come.
//   - The driver decides on TakeoverDelay: a member is Dead for that long, then Gone.
//
// # Chunks
//
// Between Seal and Commit a session is sealed and not sent. If its claim becomes void in
// the meantime, because the target is gone or another node claims, Resume makes it run on
// at once: the target discards the incomplete copy. From Commit on the target may have
// the last chunk, and only the target decides. A sealed copy whose target is gone never
// runs again by itself, since the target may have run the session and passed it on. The
// copy becomes a backup for the next holder.
//
// # Ended sessions
//
// Older copies of a session may exist elsewhere when it ends: a sealed copy whose Active
// is on its way, or a backup at a member that has not answered fully. Then the session
// leaves a tombstone, which is the driver's record of its name and version. A tombstone
// moves as a backup does, and a copy that it dominates is discarded. The holder buries it
// once no other copy can be left. In a Quiet partition that is at once, so no tombstone is
// made. A tombstone does not outlive its node: a caller that must know that an end is
// final waits for Final.
//
// # Standbys
//
// Sessions of kinds that have standbys are replicated: other members, the targets, keep their
// state, and what is acknowledged is at all of them. The node that runs a session streams records
// to its targets (Machine.Tend, Machine.Record) and waits for no one else, so a change costs one
// round trip. When that node dies, the next holder asks for what was kept:
//
//	joiner T                              B, which has a standby of x
//	   |  T holds p, nobody has copies      |
//	   | -- Recover ----------------------> |  B obeys only T from now on
//	   | <----------------------- Report x  |  B keeps x
//	   |  T is full: x runs                 |
//	   | -- record of x -----------------> |
//	   |  x is secured: others may forget   |
//
// What makes that right:
//
//   - A member is fenced before it reports, whether it has a standby or not: whoever ran x before
//     gets no acknowledgement from it any more. All that were asked are fenced, so nothing that was
//     acknowledged can be missing from their reports.
//   - A standby is given up only when its writer says so, which runs the session and has all its
//     other standbys: not with its report, nor when the writer dies, nor by a writer that takes
//     all others for dead. A session that moves is given up by its source only when its new
//     standbys are made (Machine.Secured).
//   - What is streamed carries a stamp: the claim under which its receiver obeys, and the claim of the
//     receiver that its sender has promised. What belongs to an earlier claim does not count, nor what
//     was said before its sender promised, or was rid of its copies: the session may have moved, ended,
//     and been forgotten since. Nor does an answer count for more than the one thing that it answers (Say).
//   - A member forgets a standby for this node once it has reported. Before that it would refuse, and
//     asking it again puts off its report.
//   - The end of a session is a record too, a tombstone. It is buried when nobody else can have a
//     standby, not even a member that is gone and may come back. A session that is started anew
//     goes on where the tombstone stood.
//   - Targets are members that all others know, and that the present claimer asks.
//   - A session that stays elsewhere (Refuse) is written by its keeper alone; Recover says so to all.
//   - A node acknowledges nothing while it has a standby of the very session that runs here. After
//     false deaths that is what another side has acknowledged, and the two are joined first: by
//     Promoted, at once if the copy that runs has seen all that the standby has. For the same reason a
//     record that says no more than that copy is not taken: a session that moves may come before the last
//     record of its source.
//   - A member refuses a record that has not seen the standby there (Unseen). Where it has not reported its
//     standbys, the writer asks for this one (Find) and joins it with the copy that runs, although the
//     partition is not full: the report comes when all members are rid of their copies, and whoever the
//     session was taken from keeps its own until the session has its standbys. For the same reason a
//     member that has been done says so in its Offer when another copy has come to it, such as the
//     tombstone of a session that has ended there before.
//   - A member that keeps no standbys may run a session without telling those that do. While one is
//     in view there are none: they are forgotten, and made anew when it has gone.
//
// Replica is what a node knows of the standbys of one session that it runs. The promises, of k
// standbys, are checked as the others are:
//
//   - D1: as long as no live member is declared dead, and at most k die, what was acknowledged is in
//     what runs at a full holder, and a session with something acknowledged is neither denied nor
//     started anew.
//   - D2: a session whose end was acknowledged does not run.
//   - D3: if nothing is acknowledged with fewer than k standbys, and k+1 are more than half of the
//     members, some copy has all that was acknowledged, whatever is declared dead. This does not
//     hold of a session that stays at a member while another copy of it runs, nor of one that a
//     node has started anew which took the others for dead: the copies are joined.
//   - D4: from every reachable state, once views converge: the owner runs the session, its standbys
//     have its state, nobody else has anything, and draining nodes may leave.
//
// # Several partitions in one message
//
// Partitions share nothing but the view. So one network message may carry the messages of
// many partitions, and its loss is the loss of each. AppendMessages writes such a batch.
//
// # Leaving at the deadline
//
// If the deadline of a leave comes before MayLeave, Abandon ends the sessions that are
// left. The node then has no copies and does no harm as a holder. But if it goes before
// the other members know one another, two of them may both take its partitions. So the
// node should wait a short time for the answers to Bye even then. A session that was sent
// and not answered was taken by its target, or is lost with the node. A session that this
// node took, and whose source does not know that yet, comes back at the source in the
// state in which it was sent.
//
// # What is promised
//
// The following holds in every reachable state. An explorer checks it, which drives this
// very machine within the scopes that the tests list: three and four nodes, messages that
// are lost, repeated and reordered, and views that are learnt in any order. This is
// bounded checking, not a proof. go test -v -run 'Explore|Walks' prints what was seen, and
// -explore.full goes through every scope with every owner table. For each rule of rule.go
// a test switches the rule off and must find a trace, of some thirty steps at most, that
// breaks a promise.
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
//     until they arrive: the owner is full holder, no other node has a token or a copy
//     (but for refused sessions, which stay), each session runs once, and every
//     draining node may leave.
//   - I5: after false deaths and return, without a crash, the copy that is left
//     contains every change of either side.
//   - I6: after a crash a session survives if a copy was at a live node to which no
//     Active for it was sent.
//   - I7: a session that has ended does not come back, unless a live member was
//     declared dead or the node that knew of the end has died.
//
// Two holes are known. If the introducer of a joiner crashes before any other member has
// heard of the joiner, and all others leave before they hear of it, the result is a second
// bootstrap. It heals as one, by rejoining and Offer. And a member that gossips but does
// not answer delays every claim that asks it (Claiming names the member).
//
// # The files
//
// Each uses those below it:
//
//	codec.go                       messages as bytes
//	sessions.go, standbys.go,      what the driver tells and asks about sessions, standbys and
//	query.go                       partitions
//	machine.go, leave.go           all partitions: views, messages, joining, leaving
//	turn.go                        one event in one partition, and the rules that follow from it
//	promise.go, find.go,           what comes from other members: claims and promises, questions
//	handover.go, recover.go        for a session, copies, reports of standbys
//	answers.go,                    what members answer about their standbys; the standbys of a
//	replica.go, standby.go         session that runs here, and those kept here
//	token.go, sealed.go, tomb.go   the token, the sealed copies and the tombstones of a partition
//	say.go                         messages and effects that result
//	partition.go, shared.go        questions to the state of a partition, and of all of them
//	state.go                       the state
//	view.go, rule.go, effect.go,   what goes in and out, and a set of sessions that takes little room
//	message.go, roll.go, names.go,
//	filter.go
package ownership
