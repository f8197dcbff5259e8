// Package mutualcalls is a recipe: two sessions that need each other.
//
// # The problem
//
// A handler that calls another session waits for its reply, and its own session handles
// nothing meanwhile. Two accounts that call each other can therefore wait for each other.
// There are two cases.
//
// In one chain of calls, a calls b, and the handler of b calls a. The library knows the
// chain, as it travels in ctx, and refuses the second call at once with ErrCallCycle. The
// handler that made that call gets it. What the handler returns reaches its own caller as
// any error of a handler does: as its text, unless sessionproc.NewError made it.
//
// In two chains, a calls b for one customer while b calls a for another. Neither call was
// made for the other, so that neither is refused. Both handlers wait until a deadline
// passes: that of their callers, or node.Config.CallTimeout (15 s). The error then says
// "… as sessions … and … call each other".
//
// # What to write
//
// Choose the first of these that fits.
//
// Call both from outside. A handler of HTTP is no session, and nobody waits for it:
//
//	if err := withdraw(ctx, n, from, amount); err != nil { ... }
//	if err := deposit(ctx, n, to, amount); err != nil { ... } // and undo what was done
//
// Cast instead of calling. A cast returns when the message is in the other mailbox, and
// waits for no handler. The answer, if one is needed, is a cast back. So that the sender
// can be found, the message has its ID:
//
//	func (a *Account) send(ctx context.Context, t Transfer) error {
//		a.Balance -= t.Amount
//		s := sessionproc.FromContext(ctx)
//		return Receive.Cast(ctx, s.Cluster(), t.To, Receipt{From: s.ID(), Amount: t.Amount})
//	}
//
// Call in one direction only. Put the sessions in an order, by their IDs for instance,
// and let only the lower one call the higher one, as one does with locks:
//
//	from, to = min(a, b), max(a, b) // the handler of from calls to, never the reverse
//
// Give what both need a session of its own. A game of two players is a session; the
// players call it, and it publishes events or casts to the players:
//
//	id := sessionproc.DeriveID("game", gameID)
//
// # Why
//
// A handler has its state for itself because nothing else runs beside it. If a call from
// b could enter a while a waits for b, the state of a could change between two lines of
// one handler. That is why a cycle is an error and no recursion.
//
// # What goes wrong otherwise
//
//   - A handler that calls with context.Background() instead of its ctx hides the chain.
//     The cycle is then found at the deadline only.
//   - A cast to a session whose mailbox is full waits for a place until its ctx ends, or
//     for 50 ms if that has no deadline. The session of the handler that casts waits as
//     well. Two sessions that flood each other get ErrOverloaded in the end.
//   - A handler that calls its own session gets ErrCallCycle. Call the Go method instead,
//     or cast: the session handles the cast after this handler.
//   - A money transfer by two messages is not atomic. If the second one fails, the first
//     has happened. MaybeExecuted(err) says whether the second may have happened too.
//     Keep what is under way in a state (and the money itself in a database).
//
// # Bounds
//
// A chain of calls can be as long as its deadline allows: the deadline travels with it,
// and each session in it is busy until the last one has answered. Keep chains short, one
// or two sessions.
package mutualcalls
