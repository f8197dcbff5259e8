// Package sessionproc says what a session is: kinds, tokens, handlers, and the
// process that each session has.
//
// # Tokens and kinds
//
// A contract is a set of tokens, package variables that callers import. They
// hold names and types, never code:
//
//	var (
//		Carts = sessionproc.KindOf[sessionproc.None]("cart")
//		Add   = sessionproc.MethodOf[AddItem, View](Carts, "add")
//		Clear = sessionproc.NoticeOf[sessionproc.None](Carts, "clear")
//	)
//
// A Kind is the implementation: how a state starts, and a handler for each
// token. Handlers are plain methods of the state. A node is given its kinds in
// node.Config; whatever is wrong with one, such as a token without a handler or
// a field that cannot travel, is an error of node.Start that names it.
//
//	k := sessionproc.NewKind(Carts, newCart, sessionproc.KindConfig{IdleTimeout: 30 * time.Minute})
//	sessionproc.HandleCall(k, Add, (*Cart).add)
//	sessionproc.HandleCast(k, Clear, (*Cart).clear)
//	k.OnEnd((*Cart).ended)       // it ends, for whatever reason
//	k.OnArrive((*Cart).arrived)  // it has come from another node, has restarted, or has a new ID
//	k.OnMerge((*Cart).merge)     // two copies of it meet after a partition
//
//	view, err := Add.Call(ctx, n, id, AddItem{"tea", 1}) // wherever it lives
//
// # What a session is
//
//   - One state and one mailbox, on one node. Handlers of one session never run
//     at the same time, so they need no locks; what one blocks on blocks that
//     session only. An idle session has no goroutine.
//   - A message is handled after every message whose send had returned before
//     it was sent.
//   - The messages of timers and watches need no place in the mailbox and take none
//     from others: at most one waits of each timer (KindConfig.MaxTimers bounds
//     these), and one of each watch. A Broadcast passes over a session whose mailbox
//     is full, and says so.
//   - The mailbox is bounded (KindConfig.Mailbox and MailboxBytes). Beyond it calls
//     and casts, from all nodes, stand in one line in the order of arrival until
//     there is room: a call until its ctx ends, a cast until its ctx ends or, if
//     that has no deadline, for 50 ms. So whoever casts faster than a session works
//     is slowed down to its pace. What gets no place fails with ErrOverloaded; with
//     MethodConfig.NoWait at once. A handler whose cast waits keeps its own session
//     waiting.
//   - A handler that panics ends its session, and only that. Callers get
//     ErrCrashed with a reference; the panic is in the owner's log under it.
//   - A handler's ctx ends when the session is ended; that of a call also when
//     its caller gives up, its deadline passes, or the handler returns. It
//     carries none of the caller's values. Pass it on to calls of other sessions: a call that would wait for
//     itself then fails with ErrCallCycle instead of blocking. So does one of the calls of handlers
//     that have come to wait for one another, each for a caller of its own, within a quarter of a second: on
//     one node, of two sessions anywhere, and of three on two nodes. Other such circles end with a deadline.
//
// # Messages are values
//
// Caller and session never share memory. A request or reply of numbers, bools,
// strings, times, and arrays and structs of these is assigned; a []byte is copied, an
// empty one to nil; a type with a method Clone() T, or Clone() *T of *T, is cloned; all
// else is encoded as msgpack by one side and decoded by the other, also when both are on
// one node. Structs travel as maps by field name, so that fields can be added and taken
// away between releases.
//
// What arrives is what was sent, and the same wherever the session lives:
//
//   - A time.Time is the same instant, in UTC. So it is in a state after a move.
//   - A field with the tag `msgpack:"-"` is zero; so is one with omitempty that is empty:
//     an empty slice arrives as nil, and -0 as 0.
//   - A type with MarshalText, MarshalBinary, MarshalMsgpack or EncodeMsgpack, and the
//     method that reads it again, travels by these, also within a node.
//   - What two pointers share is there twice.
//   - What msgpack would lose, change or cannot carry node.Start refuses: it names the
//     field, what is wrong with it, and what to do instead. Among it are functions,
//     channels, interfaces, unexported fields without that tag, half of a pair of such
//     methods, two fields of one name on the wire, the option as_array, pointers to
//     pointers, slices and maps, and a Clone, MarshalState or UnmarshalState whose
//     signature is another, so that nothing would call it.
//
// A Clone is to make what an encoded value would become. It is not used for types that
// have times or fields that do not travel behind pointers, slices or maps; those are
// encoded.
//
// What is encoded may be nested 64 levels deep: structs, maps, slices and arrays in each
// other. A deeper value, or one that contains itself, is an error of who sends it, in
// whatever way, and the error names the bound. A state like that stays where it is, and
// RestartLastState cannot keep it; its session works on. Types that cannot contain
// themselves pay nothing for this. What is in a value several times is encoded as often,
// and encoding stops at the size that is allowed (node.Config.MaxFrame,
// KindConfig.MaxState), so that a value which is small here and large there costs no
// more than that to refuse.
//
// Two faults in your code Go cannot contain, and they end the process: a method such as
// Clone, MarshalState or MarshalText that calls itself for ever, and a map that a
// goroutine which a handler has left behind writes while the state is encoded. A test
// with package nodetest and the race detector, in which the session moves (Drain), finds
// both.
//
// # Events
//
// A session publishes values, and whoever is interested subscribes, from any node:
//
//	var Changed = sessionproc.EventOf[View](Carts, "changed")
//
//	sessionproc.HandleEvent(k, Changed, (*Cart).view)        // the present value
//	err := Changed.Publish(ctx, c.view())                    // in a handler
//	sub, err := Changed.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
//	for u, err := range sub.All(ctx) { ... }
//
// A subscriber gets the present value and then every later one in order, wherever
// the session moves, until an *Ended says why it has ended. One that is too slow
// finds a gap, which is marked, and harms nobody. A session hears of the end of
// another one with Watch.
//
// # Slow work
//
// What a handler waits for keeps its session waiting. Work that takes longer, such as a call of a payment
// API, is a task: it runs in a goroutine of its own, the session handles messages meanwhile, and the result
// comes to it as a message.
//
//		var Paid = sessionproc.NoticeOf[sessionproc.Result[Receipt]](Carts, "paid")
//
//		func (c *Cart) pay(ctx context.Context, card Card) (View, error) {
//			order := c.order()
//			err := sessionproc.Go(ctx, "pay", func(ctx context.Context) (Receipt, error) {
//				return bank.Charge(ctx, order, card)
//			}, Paid, sessionproc.TaskConfig{Limit: 10 * time.Second})
//			...
//		}
//
//		func (c *Cart) paid(ctx context.Context, r sessionproc.Result[Receipt]) error { ... }
//
//	  - A task belongs to its session. The result comes to wherever the session is by then: on another node,
//	    under another ID, restarted with its last state, or gone on from a standby. It comes once, and if
//	    there is none, an ErrTaskLost comes in its place: when the node that ran the work has crashed, was
//	    closed, or has left before the work was done. An ErrTaskLost says that the work may have run.
//	  - The work begins when the handler that called Go has returned, and in a kind with Replicas when the
//	    standbys know of it. If that cannot be (see KindConfig.MinReplicas), the work does not run, and the
//	    result is that error. So nothing happens that a crash makes the session forget.
//	  - With TaskConfig.Retry the work runs again, where the session is, when the node is gone that ran it:
//	    at least once. It needs GoWith and HandleTask, so that its argument can travel. The calls that it
//	    makes with its ctx have keys (WithKey), which are the same when it runs again. TaskRun.Key is a key
//	    for other APIs.
//	  - The result needs no place in the mailbox and takes none from others; it does not count as use of the
//	    session. The task is over when the handler of its notice has taken the result: if that crashes, the
//	    result is lost with it, as any message is. In a kind with Replicas, what the handler has changed and
//	    that the task is over survive a crash together or not at all; then the result comes again.
//	  - The ctx of the work ends with the session, after TaskConfig.Limit, with CancelTask, and when the node
//	    ends. A restart with RestartFresh cancels the tasks of the session, and so does the end of a copy after
//	    a partition, if the other copy that goes on does not have them. Where OnMerge joins two copies, the
//	    tasks of both go on. A node that hears for a minute of nobody who waits for a result gives up the work.
//	  - Sessions move whatever tasks they have, and a node that drains waits for the work that runs on it, as
//	    long as the drain or leave may take. Their new nodes get the results.
//	  - A session has at most KindConfig.MaxTasks tasks, and a node at most node.Config.MaxTasks. A node keeps
//	    results that nobody has got for a minute, and at most 64 MiB of them.
//
// Releases: where a node of a release of this library without tasks gets the session, its tasks are lost, and
// the results that it gets say so. The notice, and for TaskConfig.Retry the task, must be known where a session
// goes, as for timers: ship the handlers first, and use them one release later.
//
// # States move
//
// When nodes come and go, sessions move between them, and callers do not notice:
// calls wait or are sent on, the order is kept. With a session travel its ID,
// kind, incarnation and state, the casts that wait in its mailbox, its timers
// with the time that they have left, its tasks, the time since it was used last, the newest
// values that it has published, and what it watches. Waiting calls do not: their callers'
// nodes send them to the session's new place.
//
// So a state is plain data, at most 64 MiB of it (KindConfig.MaxState) when it is
// encoded. It travels as msgpack, a struct as a map by field name, and node.Start
// refuses what would not arrive, as it does for messages. A field with the tag
// `msgpack:"-"` is zero after a move; Kind.OnArrive sets it again, before anything else
// sees the state. A state may code itself instead:
//
//	MarshalState() ([]byte, error)
//	UnmarshalState([]byte) error
//
// Nodes of two releases work beside each other. A field that only one of them
// has needs no care: a node keeps the fields of a state that its type does not
// have, and writes them again when the session moves on, so that a rollback
// loses nothing. This is so for the fields of the state itself, not for those of
// structs in it, nor for states that code themselves. A change that an earlier
// release must not see raises KindConfig.Schema, and KindConfig.Migrate brings
// older states up.
//
// A session stays where it is, and is called there from everywhere, if the other
// node cannot have it: if it was not given the kind or a handler of a waiting
// cast or timer, has a lower schema, has its MaxSessions already, or if coding or
// migrating the state fails or panics. Both nodes log why. When its node leaves it goes
// to a node that has the kind and the schema, if there is one. With the last of these
// it ends, with ReasonClosed, and that node's Leave says so.
//
// A session that holds what cannot move, such as a socket, is of a kind with
// KindConfig.EndOnMove: it ends where others move.
//
// # Standbys
//
// KindConfig.Replicas has other nodes keep a copy of each session, so that it survives the
// crash of its node. Handlers are written as before. What changes for them:
//
//   - The answer of a call that may have changed the state waits until the standbys have
//     the change, about one round trip. ReadOnly methods wait for nothing of their own,
//     and MethodConfig.Relaxed ones do not wait. A session goes on with its next
//     messages meanwhile, and one record has the changes of many.
//   - After a crash a call whose outcome is unknown is made again: a handler may run once
//     more, on the state from before. What it does beyond the state and calls with its
//     ctx is done twice. Session.Save makes the state durable first; WithKey lets a user
//     repeat a call by himself.
//   - The state comes to a new node as after a move. OnArrive is told (ArrivalPromoted),
//     and the session has a new Incarnation.
//   - The state is encoded after each burst of changes: it should be small. KindConfig.MaxState
//     is 1 MiB by default.
//   - A change that the standbys do not get in time, or may not get for want of
//     KindConfig.MinReplicas or of a quorum, fails. It has happened all the same, and
//     MaybeExecuted reports true.
//
// # Releases
//
// During a deploy nodes of two releases of a program work beside each other, and
// either may own a session. What a request names is looked up where the session
// lives, or would live. What the release of that node lacks is ErrUnknownKind, or
// ErrUnknownMethod of a method, notice or event, whatever the caller's own node has;
// StartOnCall starts nothing there, and a subscription ends. Members that differ
// say so in their logs once, when one joins, and in node.Health. So what is new takes
// two deploys:
//
//  1. Ship the handlers. The first release has the kind, or the handler, and nothing
//     in it uses them.
//  2. Use them one release later: call the method, set timers for the notice, start
//     sessions of the kind. While that is deployed, and if it is rolled back, every node
//     has the handlers.
//
// What is to go takes the same two, backwards: stop using it, and remove the handlers
// one release later. The names stay what they were: a method whose types change in a
// way that the other release cannot decode is a new method, with a new name.
//
// A rollback to a release with a lower schema ends sessions: those of the later release
// live on for as long as one of its nodes is there, and end with the last. Where
// that must not be, change a state without raising the schema: one release has the new
// field beside the old one and writes both, the next one reads the new field only, and
// the one after that has no old field. Each can be rolled back by one.
//
// # Restarts and limits
//
// A session that crashes ends, with ReasonCrashed, unless KindConfig.Restart says
// otherwise. RestartLastState goes on with the state that the last completed
// handler left, and keeps timers, those included that the crashed handler had set, and tasks;
// RestartFresh calls the start function again with the original argument. Lost is
// the message that crashed; those behind it wait for the restart. Budget and
// back-off are each session's own and move with it: one that crashes again and
// again ends, and no other notices. A restarted session has a new Incarnation.
//
// The mailbox, timers, tasks, renewals and the size of a state are bounded by default, and so are
// the start functions that run at once on a node (node.Config.MaxStarting). IdleTimeout,
// Lifetime, MaxSessions, StartRate, MessageRate and node.Config.MemoryMark are off. A
// start of a session that is there is ErrAlreadyStarted, whatever limits say. Errors of
// limits are *LimitErrors; what met one has not run.
//
// # Errors
//
// Failed operations return an *OpError. errors.Is finds the errors of this
// package and those made with NewError, on whatever node they arose; other
// errors of handlers arrive as their text. MaybeExecuted says whether the
// handler may have run; a call that has a key (WithKey) can then be made again, and
// does not run twice. The error of a request whose ctx has ended says what it
// was waiting for: "context deadline exceeded while its handler ran for 6s", "…
// while it waited behind 40 messages and the handler of add, which ran for 6s",
// "… while its handler ran for 6s and waited for session …", "… with no answer from
// node b", "… as sessions … and … call each other". The text is for people; programs
// compare with errors.Is.
package sessionproc
