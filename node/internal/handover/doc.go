// Package handover moves sessions between the nodes of a cluster. Its Driver runs the pure
// machine of package ownership: it passes events to the machine and executes the effects. The
// machine decides which node has a partition, and when a session goes where.
//
// A Driver is built of an Env, so it needs no node; see newRig in the tests. Package node has
// the other half of a cluster's work: it routes requests, parks those that wait for a session,
// and talks with the other members about their coming and going. It asks the Driver by the
// methods in membership.go.
//
// # A session moves, file by file
//
//	view.go        a new view of the cluster becomes an event
//	turn.go        an event goes to the machine, under the lock
//	effects.go     the machine's effects are executed, one by one
//	send.go        its messages go to other members in batches; receive.go takes theirs in
//	sealing.go     the source seals sessions of a partition that it has promised
//	handoff.go     one sealed session: snapshot, commit, answer
//	lane.go        the sealed sessions go to their new node == stream ==> take.go
//	take.go        there they are decoded and put into the table
//
// # A session has standbys, file by file
//
//	replicate.go   Keep: a session of this node has made a record; its standbys are told, and answer
//	hear.go        the other side: a member says what standby this node is to keep
//	tend.go        when not a session has changed, but the members: all sessions are looked after
//	repair.go      what they lack by then is made, in turn
//	report.go      a node is lost: members report to the new holder what they have
//	promote.go     there it runs again; relic.go is all that is left of it, fetch.go gets what is elsewhere
//	shelve.go      where this meets sessions that move: they are sealed and go on here, or are standbys then;
//	ahead.go       they come, and end on their way
//
// # The files
//
// Each file uses those below it:
//
//	driver.go                                begins and ends all of this
//	gate.go, want.go                         what the table asks: may this session start here?
//	membership.go                            what the node asks
//	leftovers.go, takers.go, late.go,        a node that drains
//	forecast.go
//	retry.go, stays.go, view.go, untold.go   what is said again, and what has changed
//	receive.go, take.go, large.go            what comes from other members
//	effects.go                               what the machine wants done
//	promote.go, fetch.go, hear.go,           standbys, here and elsewhere
//	report.go, tend.go
//	sealing.go, ahead.go, lane.go,           sessions that go
//	lanestream.go, handoff.go
//	shelve.go, replicate.go                  what both have to do with the standbys of a session
//	keep.go, backups.go, declined.go,        sessions that stay, and what is known of them
//	filters.go, final.go, relic.go,
//	durability.go, repair.go
//	queue.go, send.go                        what is about to be sent
//	refused.go, moved.go, summary.go         what is told of a session
//	turn.go                                  the lock, and the machine behind it
//	state.go                                 all that the lock guards
//	steps.go                                 what tests are told of
//	outbox.go, bulk.go, traffic.go,          parts that know no Driver
//	replicas.go, reports.go, chunked.go,
//	tending.go, bound.go, meter.go, env.go
//
// There are three exceptions. turn.go executes effects (doOneLocked), which may lead to further
// events. replicate.go ends a session that is on its way (endAheadLocked). queue.go starts the
// goroutine of a lane (run) with the first session for it.
//
// # The lock
//
// Package ownership asks for a read-write lock for each partition. One lock, Driver.mu, stands
// for all of them. The start of a session, and the answer that a session does not exist,
// hold mu for reading from the question to the machine until the act, so that the answer
// is still true when it takes effect. An event holds mu for writing until its effects are
// executed. A request for a session that is in the table takes no lock of the driver.
//
// # Lock order
//
// safety.mu comes before mu. Else mu comes first. Under it these locks are taken:
//
//	mu -> replicated.mu -> the lock of a peer of standby.Speaker
//	mu -> the locks of replicas, of standby.Table and of tending
//	mu -> lane.mu
//	mu -> outbox.mu
//	mu -> traffic.mu
//	mu -> summary.mu -> the lock of Lifetime
//	mu -> the locks of Lifetime and of Roster
//	mu -> the lock of Env.HasQuorum -> locks of the table
//	mu -> locks of the table: the partition's, then the process's
//
// A record, an answer to it, and a standby that is only renewed hold mu for reading: sessions with
// standbys do not wait for each other. Table.Kept is called without mu (settle), since it answers
// callers and lets sessions end.
//
// The reverse never happens. The table calls the Gate (Enter, Leave, Settled) without a
// lock of its own. A worker that has made a snapshot calls readyToGo, which takes lane.mu
// alone. Whatever may need mu again, or runs code of users, is not called under mu: it is
// appended to later, and unlock calls it. For the same reason a goroutine of its own
// (wakeWaiting), and not the execution of Wake, wakes the requests that wait: one that is served
// again may enter the Gate.
//
// On a machine that is busy each wait for mu takes milliseconds. So what comes one by one is
// gathered: the batches in the inbox, the claims among them, the answers about standbys.
package handover
