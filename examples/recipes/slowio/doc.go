// Package slowio is a recipe: how a session uses a service that takes seconds.
//
// # The problem
//
// The handlers of one session run one after the other. While a handler waits 3 s for a
// payment service, everything else that is sent to the session waits with it: the page
// that polls, the second window, the move to another node. Other sessions are not
// affected.
//
// # What to write
//
// The handler notes in the state what it is about to do, starts a goroutine that waits
// for the service, and returns. The goroutine casts the outcome back to the session by
// its ID. A named timer asks again if no outcome arrives.
//
//	func (s *shop) pay(c *Cart, ctx context.Context, _ sessionproc.None) (Payment, error) {
//		if c.Payment.Status == Running {
//			return c.Payment, nil // a second click
//		}
//		c.Payment = Payment{Key: sessionproc.NewID(), Status: Running}
//		s.ask(ctx, c.Payment.Key)
//		return c.Payment, Check.AfterNamed(ctx, "payment", 30*time.Second, c.Payment.Key)
//	}
//
//	func (s *shop) ask(ctx context.Context, key string) {
//		session := sessionproc.FromContext(ctx)
//		id, cluster := session.ID(), session.Cluster()
//		go func() {
//			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
//			defer cancel()
//			if err := s.bank.Charge(ctx, key); err != nil {
//				return // check asks again, with the same key
//			}
//			if err := Charged.Cast(ctx, cluster, id, key); err != nil {
//				s.log.Warn("outcome not delivered", "session", sessionproc.LogID(id), "err", err)
//			}
//		}()
//	}
//
// The handler of Check calls ask again while the payment is still running, and sets the
// timer anew. The whole program is in example_test.go.
//
// # Why it is written so
//
//   - The goroutine has a ctx of its own. The ctx of a call ends when its handler returns.
//   - The goroutine never touches the state. The next handler may be using it, and after
//     a move the state is on another node. It takes the ID and the Caller with it instead.
//   - The key is in the state before the service is called. The service recognises a key
//     that it has seen (most payment services call it an idempotency key), so asking
//     twice charges once. Without such a key a repetition is not safe.
//   - The outcome names its key. The handler of Charged ignores an outcome that is not
//     that of the running payment: it may come late, or twice.
//
// # What can be lost
//
//   - Move: nothing. The cast finds the session by its ID, and the timer moves with it.
//   - Renewal at a login: the cast to the old ID fails, with ErrRenewed for a minute and
//     with ErrNotFound after that. The timer asks again, under the new ID.
//   - The goroutine's node stops: the goroutine ends with its process. Neither Drain nor
//     Leave waits for it. The session has moved, and its timer asks again.
//   - The session ends: the cast fails with ErrNotFound, and the charge stands. If that
//     matters, OnEnd or the goroutine records it where it outlives the session.
//   - The session's node crashes: state, key and timer are gone. What must not be lost
//     then belongs into a database before the service is called.
//   - The mailbox is full: the cast fails with ErrOverloaded. The timer asks again.
//
// # When the handler may wait after all
//
// Call the service in the handler if that takes a fraction of a second and nothing else
// needs the session meanwhile. Give the service the handler's ctx: it ends when the
// caller gives up, when the deadline passes, and when the session is ended. A session
// that is to move waits for its handler; after node.Config.StopTimeout, 5 s by default,
// the handler's ctx ends.
//
// # Bounds
//
//   - MethodConfig.Timeout bounds a call whose ctx has no deadline, in place of
//     node.Config.CallTimeout (15 s).
//   - MethodConfig.NoWait fails a message at once, with ErrOverloaded, if the mailbox is
//     full. It does not look at how long the running handler takes.
//   - KindConfig.SlowHandler logs a handler that runs longer than 10 s, with its stack.
//   - Goroutines are not bounded by the library. A channel with as many places as the
//     service allows requests bounds them; the example has one.
package slowio
