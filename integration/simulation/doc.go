// Package simulation tests whole clusters in virtual time: real nodes on a
// simulated network, under load, while nodes come and go in every order and
// several at once, and while they crash, are cut off and stand still.
//
//	go test ./integration/simulation -run TestFaultsLeaveEachSessionThereOnce -schedules 10000
//
// A schedule says how many nodes, sessions and clients there are and what
// happens when. It is drawn from a seed and is plain data. Clients on every node
// start, call, cast to and end a few sessions all the while. Of planned changes
// it is claimed that
//
//   - no request fails but by what the clients did themselves,
//   - no request takes longer than slowest,
//   - no two handlers of a session ever run at once,
//   - one goroutine's messages to a session are handled in the order sent, none
//     left out, none twice,
//   - the history of each session is linearizable,
//   - a timer that a session has set fires once, wherever the session is by then,
//   - a subscriber gets every value in order and none twice, without a gap, soon, also
//     when it comes back at another node; and then the end with its reason. Nothing
//     runs of a life of which a subscriber was told that it has ended,
//   - a session that watches another one is told of its end once, and not before,
//   - a session that is given one new ID after another keeps all its changes, and
//     nothing runs under a former one,
//   - a session that has errands done by tasks, and is given one new ID after another, gets
//     the result of each of them once, none is lost, and each runs once,
//   - in the end all nodes have the same view, each session has one process, and
//     no goroutine is left.
//
// Under faults clients put words that are never used twice into sessions of two
// kinds: of two bags every word is kept (OnMerge), of two lists one goes on. What
// crashes, cuts, stalls, losses and resets do not excuse is a violation:
//
//   - A request ends within its deadline. It fails only if its node or that of the
//     session was touched by a fault not long before, and what was under way at a
//     node that died fails as soon as that is known. A call that is ReadOnly is
//     repeated instead.
//   - A subscriber gets the values of one life in order, each the one before with one
//     word more, or marked as a gap, and all subscribers the same; in the end each has
//     what is there, or was told of the end.
//   - No word is handled twice, and none of which its client was told that it
//     surely was not.
//   - Handlers of two copies of a session run at once only while a live node is
//     taken for dead, or not long after.
//   - With a quorum nothing runs on a node that has been in the minority for longer
//     than detection takes.
//   - In the end all nodes have the same view and give the same answer, each session
//     has one process, and nobody waits for anybody.
//   - A session gets one result for each task that its state knows of, or an ErrTaskLost,
//     none twice, and none of a task that it does not know of.
//   - Every acknowledged word is there then, unless it was on a node that was killed
//     or on its way, or in a list that was told of a conflict. A list is what one
//     copy was, never a mixture.
//   - Of crashes alone: of all IDs that a session may have been given, one has it in
//     the end, or none; the history of each session is linearizable, but for the
//     loss of it, or of its latest changes, at a crash.
//
// Sessions may have standbys (Replicas). Where no live node was taken for dead and all
// crashes were such as standbys make up for (no more nodes at once than a session has
// standbys, all that died before having been noticed and made up for, and one that has
// been there for a while stays), it is claimed besides:
//
//   - Every word that a call has put there is there, and no session is lost.
//   - Every task of which a call has told is known in the end, and one that may run again
//     (TaskConfig.Retry) is not lost. One that may not has run once at most. One of which no
//     standby could know has not run, and no call has told of it.
//   - The history of each session is linearizable: a crash takes only what no reply was
//     derived from, and no end that was acknowledged is undone.
//
// TestCrashesLoseNothingThatWasAcknowledged plays schedules of such crashes only, each at
// an exact step (see point): before and after a state is encoded, when a record is sent,
// stored or acknowledged, when a reply has come, when a session is sealed, committed,
// arrives or is active elsewhere, when standbys are asked for, reported, fetched or
// promoted, or are discarded, where that happens and at its peer. With -v it prints how
// often. Other schedules count the crashes that standbys made up for.
//
// A process that stands still is cut off from the others here, but not from its
// clock: its goroutines run on.
//
// Gossip draws from the global source of randomness, so that a seed gives the
// same schedule and load, but not always the same course of events. What fails
// is therefore reported with all that happened, and tried again with fewer steps.
package simulation
