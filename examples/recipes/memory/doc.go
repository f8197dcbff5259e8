// Package memory is a recipe: how many sessions fit on a node, and what bounds them.
//
// # The problem
//
// All sessions live in the memory of the web processes. A node must carry its own, those
// of a node that leaves, and what is on its way meanwhile, without being killed by the
// system, which would lose all of them.
//
// # What a session takes
//
//   - 239 bytes for an idle session with 8 bytes of state, 256 bytes with a million of
//     them. An idle session has no goroutine.
//   - Its state, as Go holds it. A session whose state is a user ID and a map of four items
//     takes about 500 bytes in all. Measure yours, as example_test.go does.
//   - Published values: the newest EventConfig.Keep of each event (64), at most KeepBytes
//     (64 KiB) of them. With live pages this is often the largest part. Keep: 1 is enough
//     for a page that shows the present value only.
//   - Its mailbox, while messages wait: at most Mailbox messages (1,024) and MailboxBytes
//     (1 MiB). In the line behind it at most 4,096 messages and 16 MiB. A session that is
//     keeping up has nothing there.
//   - With RestartLastState the last state once more, encoded.
//   - What it has set: timers, watches, labels.
//
// # What a node takes besides
//
//   - node.Config.MaxInflight (256 MiB) bounds the requests of other nodes that are not
//     answered yet. A node that keeps up uses a small part.
//   - node.Config.HandoffMemory (64 MiB) bounds what is encoded and on its way to others.
//   - Drain: while the sessions of a node move, each of the two processes has at most
//     about twice the memory that these sessions took before (1.8 to 2.2 times, measured
//     with 20,000 to 1,000,000 sessions), as the garbage collector comes later.
//   - The garbage collector: with GOGC=100 the process grows to about twice the live heap
//     before a collection, unless GOMEMLIMIT makes it collect earlier.
//
// # What to write
//
// Say L is the memory limit of the container, B the bytes of a session with its state,
// and N the number of nodes.
//
//	GOMEMLIMIT      0.9 × L    the rest is for what Go does not count
//	MemoryMark      0.6 × L    above it a node takes no more sessions
//	MaxSessions     0.5 × L / B
//
//	node.Config{
//		MemoryMark:  6 << 30 / 10, // L = 1 GiB
//		MaxSessions: 500_000,      // B = 1 KiB
//	}
//
// and plan for (N-1) × MaxSessions sessions in all, so that every node can leave or die.
// The load of nodes differs by up to a quarter (ring.Config: 1.25); MaxSessions of a full
// node refuses starts while others have room. So plan with 0.8 of that again:
//
//	sessions in all = 0.8 × (N-1) × MaxSessions
//
// Set IdleTimeout on every kind. Without it a session that nobody uses is never ended,
// and crawlers fill the memory. Start sessions when there is something to keep, not at
// the first request of a visitor.
//
// # What happens at the bounds
//
// A start beyond MaxSessions fails with ErrTooManySessions, above MemoryMark with
// ErrMemoryMark; both are *LimitErrors and 503 in sessionhttp.WriteError. Sessions that
// would move to a full node stay where they are and work on. A node that leaves when all
// others are full waits for room until its deadline, and ends what is left. Renewals are
// never refused.
//
// MemoryMark looks at the heap that the last garbage collection found, once a second. It
// does not see a burst within that second. StartRate bounds bursts.
//
// # What goes wrong otherwise
//
//   - MaxSessions × B near L: the first deploy moves the sessions of one node to the
//     others, which are killed.
//   - GOMEMLIMIT near or above L: the system kills the process before the collector works
//     harder. GOMEMLIMIT far below the live heap: the collector uses all the CPU.
//   - A list in a state that grows without an end. KindConfig.WarnState warns of it.
//
// # How to watch it
//
// node.Node.Stats has the sessions of each node and kind, Health says when a node is above
// its mark, and node.Trace lists the names of metrics. `go run ./integration/bench` prints
// the bytes of an idle session on your machine.
package memory
