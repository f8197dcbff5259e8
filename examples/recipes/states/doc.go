// Package states is a recipe: what belongs into the state of a session.
//
// # The problem
//
// A state moves between nodes and releases as bytes, and a crash of its node loses it.
// Both are easy to forget while a program runs on one machine.
//
// # What to put in
//
// Plain data that handlers decide by, and that may be lost with a node: the items of a
// cart, the step of a form, the number of attempts, the last messages of a chat, the key
// of a payment that is under way. All fields are exported.
//
//	type Cart struct {
//		UserID  string
//		Items   map[string]int // by SKU
//		Recent  []string       // the newest ones, at most maxRecent
//		Payment Payment
//	}
//
// # What to leave out
//
//   - Clients, connections, loggers, templates, functions, channels, mutexes. node.Start
//     refuses them. A handler gets them from its receiver, which is no state:
//     HandleCall(k, Pay, svc.pay) with func (s *service) pay(c *Cart, ctx, r).
//   - What must survive a crash: orders, money, the text that somebody has written for an
//     hour. Write it to a database, and keep its key in the state.
//   - Secrets: passwords, card numbers, tokens of other services. Every node of the
//     cluster can have the state in its memory.
//   - Large things: pictures, documents, lists without an end. Keep the key of an object
//     in a store, and cut a list where it grows, as below.
//   - What can be computed: sums, rendered pages, the name that belongs to a user ID. The
//     copy is out of date when the original changes.
//   - IDs of other browsers' sessions: a login gives them new ones. See package logins.
//   - A map[string]any. A state has a type so that each release knows what it reads; an
//     interface is refused.
//
// A list that keeps the newest entries:
//
//	c.Recent = append(c.Recent, sku)
//	if over := len(c.Recent) - maxRecent; over > 0 {
//		c.Recent = slices.Delete(c.Recent, 0, over)
//	}
//
// # What does not travel
//
// A field with the tag `msgpack:"-"` is zero in a state that has come to this node, after
// a renewal, and after a restart. Use it for what is quickly made anew, such as an index
// over the items, and set it in the start function and in the function of Kind.OnArrive.
// A cache that is made at its first use needs neither:
//
//	func (c *Cart) index() map[string]bool {
//		if c.bySKU == nil { ... }
//
// Unexported fields are refused without the tag, as they would be lost in silence.
//
// # Sizes
//
//   - Up to some KiB a state costs nothing worth a thought. A session moves in some
//     milliseconds.
//   - Above KindConfig.WarnState (1 MiB) the log warns. 1,000 states of 1 MiB are a GiB,
//     which a deploy takes 16 s to move (node.Config.HandoffBytesPerSecond: 64 MiB).
//   - Above KindConfig.MaxState (64 MiB) the session stays where it is, and ends with its
//     node.
//   - With RestartLastState the state is encoded before each message of a method that is
//     not ReadOnly. Keep such states small.
//
// # How to test it
//
// nodetest.CheckKind encodes, moves and decodes samples of a state and of all messages,
// and says what is lost. A test in which the session moves (Cluster.Drain) finds what a
// handler relied on and what did not come along.
package states
