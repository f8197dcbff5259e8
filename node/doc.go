// Package node embeds a member of a session cluster in a program.
//
//	n, err := node.Start(ctx, node.Config{
//		Bind:   "10.0.0.7:7946",
//		Join:   []string{"10.0.0.8:7946"},
//		Secret: secret, // made by NewSecret, the same on all nodes
//		Kinds:  []sessionproc.AnyKind{cart.NewCarts()},
//	})
//	defer n.Leave(ctx)
//
//	started, err := cart.Carts.Ensure(ctx, n, id, sessionproc.None{})
//	view, err := cart.Add.Call(ctx, n, id, cart.AddItem{SKU: "tea", Qty: 1})
//
// Every session has one process on one node of the cluster: its owner, found by
// consistent hashing of the session ID. Any node starts, calls, casts to and
// ends any session by its ID alone; a request for a session that lives elsewhere
// is forwarded over TCP. A load balancer in front needs no stickiness.
//
// # Calls
//
// A request goes to the node that owns the session's partition, by this node's view of the
// cluster. On this node it is a look-up and a message. Another node gets it over one TCP
// connection for each pair of nodes. A node that is asked for a session of another answers
// with the owner that it knows, and the caller's node asks there, again and again with
// back-off until the ctx ends. Nodes never forward a request of another node.
//
// # Sessions move
//
// When a member joins, leaves or dies, the ring gives some partitions to other members. A
// session moves when its handler has returned: its node takes a snapshot, the new owner
// starts it from that, and the old copy is dropped once the new one runs. Requests wait at
// the new owner meanwhile, for some milliseconds. A partition is never served by two nodes
// while members come and go in good order: a node takes it when all members that it sees
// have promised not to.
//
// # Look inside
//
// List shows the sessions of the whole cluster, page by page, also the one of a LogID in a line of
// the log; Stats what each node does, Healths how each is, and Inspect all there is to know of one
// session, down to the stack of the handler that runs. Explain says in sentences where a session
// is and why, or why it is nowhere. They ask all members at once and name those that did not
// answer. LocalStats and Health ask nobody: they are for what is scraped. StartMany, TerminateMany,
// TerminateLabelled and Notice.Broadcast change many sessions with few requests. Config.Trace is
// told of every request, handler, start, end, crash and move, and of members that come and go; it
// can have spans of its own, which Inject has travel. Package nodeweb answers probes.
//
// # Leaving
//
// RunUntilSignal is the last line of a program that serves HTTP: on SIGTERM it
// ends node and server so that nobody notices, in the order that load balancers
// and Kubernetes need.
//
//	return node.RunUntilSignal(ctx, n, node.Shutdown{HTTP: srv})
//
// It is made of calls that a program can make by itself. Drain: Ready becomes an
// error that says so, the members know within 0.3 s (measured: up to 20 of them,
// Fast profile), sessions move away, and the node goes on answering and forwarding
// requests. Leave: Drain, then the good-bye. Close: the abrupt end. Several nodes
// may drain at once. Tasks that run here (sessionproc.Go) keep no session: the drain waits for
// their work, and the new nodes of the sessions get the results. Progress tells how far a drain is, at any time and once a
// second in the log; DrainEstimate about how long one would take. A drain that
// surely takes longer than it has says so at once (ErrDrainTooLong), and goes on.
//
// Nothing is lost in silence. A session whose handler runs moves when that has
// returned; no call is cut short by a deploy. Only after StopTimeout is the
// handler's ctx cancelled, with a warning in the log that shows its stack; what it
// returns is its caller's answer. Such a session holds up no other. At the deadline
// Leave ends what is left, ReasonClosed, and its error and log say how many of which
// kind, and why (DrainError); with a LeaveGrace it goes on for that long while sessions
// move. Drain leaves them running.
//
// Members of an earlier release may not be able to have a session, as they were not
// given its kind or have a lower schema (a rollback). Then it goes to one that can,
// wherever the ring would place it, for as long as there is one. What none can have
// is logged at once, and neither Drain nor Leave waits for that.
//
// # Trouble
//
// Health says how a node is, in plain values. It names the members that were lost, with the
// sessions that they last said they had, and those that gossip and have not answered calls for
// 10 s (an error in the log, once): whatever has to ask them waits. Evict puts such a member out,
// on all nodes.
//
// It also names members that were given other kinds than this node, as nodes of two
// releases are during a deploy, and what differs; the log says so once when one joins,
// on both sides. A request fails with sessionproc.ErrUnknownKind or ErrUnknownMethod
// where the owner of its session lacks what it names. So ship handlers first, and use
// them one release later: see "Releases" in package sessionproc.
//
// # Faults
//
// When a node dies, the others take its partitions over once they know, a second later.
// Sessions of a kind with KindConfig.Replicas go on from their standbys, see "Crashes"; the
// others end with their node. When the two sides of a partition see each other
// again each gives what is not its own to the owner. Every session has a version:
// how many changes of each of its incarnations it has seen. Of two copies one goes
// on that has seen all that the other has; if both have changed the kind's OnMerge
// joins them, or one ends with ReasonConflict.
//
// What was ended on one side of a cut, while a copy of it ran on the other side, does not
// come back when the cut heals, whichever node owns it then: who has ended it tells the
// owner. Each node remembers up to 65,536 such ends for an hour. An owner of an earlier
// release may let the old copy go on.
//
// # Crashes
//
// With KindConfig.Replicas a session's change is also in the memory of other nodes, its
// standbys, before the caller has the answer. After the crash of a node, of as many nodes
// at once as a session has standbys, or of a whole Config.Zone, the sessions go on from
// there. They have every acknowledged change, and none comes back whose end was
// acknowledged. Their timers fire on time. A request waits for that within its ctx: 1.7
// to 2.4 s until the crash is known (2.4 to 3.9 s if the host died; 0.9 to 1.5 s with
// cluster.Eager), and a second more. A call whose outcome is unknown is made again and
// does not run twice.
//
// Health().Durability counts the sessions without their standbys and names the members
// that hold up changes. Lost standbys are made anew at once, within
// Config.HandoffBytesPerSecond, and others move within HandoffRate, too. They take up to Config.StandbyMemory at each node; beyond it a
// session goes on with fewer, or, below KindConfig.MinReplicas, without changes.
//
// # What is promised
//
//   - While members join and leave in good order (Start, Leave), each session has
//     exactly one process, and a request from any node reaches it. It moves with
//     its state, its queued casts and its timers, and keeps its Incarnation; calls
//     wait within their ctx meanwhile, for some milliseconds. Of any number of
//     concurrent starts of an ID one succeeds.
//   - A handler runs at most once for each call, unless its method is ReadOnly, or
//     its node has crashed and the kind has Replicas: then it may run once more, and
//     what it did before is undone.
//     After an error sessionproc.MaybeExecuted says whether it may have run; it
//     is exact for sessions of this node, and true for others unless their
//     owner, or the fact that nothing was sent, says otherwise. A call with a key
//     (sessionproc.WithKey) can be made again: the handler runs once.
//   - Cast returns nil when the message is in the session's mailbox.
//   - The same value and the same errors.Is, whether the session lives here or
//     elsewhere.
//   - No request waits longer than its ctx, or CallTimeout if that has no
//     deadline. Its error says what it waited for, also at another node. All
//     queues are bounded, and say so with ErrOverloaded.
//
// # What is not promised
//
//   - Sessions of a kind without Replicas end with a node that dies, or that is closed
//     without Leave. Requests for them wait as above; then they get ErrNotFound, or
//     start the session anew (KindConfig.StartOnCall).
//   - With Replicas a crash loses casts that no record has yet, and the values of
//     events: subscribers get a marked gap and the present value. More crashes at once
//     than a session has standbys lose it. A node that stands still holds up the
//     changes of sessions that have a standby there, until it is declared dead.
//   - While the network is parted both sides serve, and acknowledge, unless there is a
//     Quorum. Two copies of a session meet afterwards, and one process goes on.
//   - While a living node is taken for dead a session may run twice.
//   - A message whose outcome is unknown (MaybeExecuted) may still be handled after
//     later ones of the same caller.
//   - State is in memory only: a stop of all nodes loses it.
//
// # Security
//
// Session IDs are bearer secrets, so a cluster is closed by default: beyond
// loopback a node needs a Secret made by NewSecret (or Config.Insecure). It
// encrypts gossip (AES-256-GCM) and secures TCP (TLS 1.3, and a MAC over the
// TLS exporter that proves possession of the secret) before anything else is
// read. Node.SetSecrets replaces it without an interruption. A member is trusted
// fully. Gossip packets that are replayed raise nobody: a member counts once it
// was met (package cluster, Strangers). Session IDs are never logged whole,
// payloads never.
package node
