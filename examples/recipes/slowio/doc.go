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
// The handler notes in the state what it is about to do, and begins a task. The result of
// the task is a message of a notice of the session's kind.
//
//	func (c *Cart) pay(ctx context.Context, _ sessionproc.None) (Payment, error) {
//		if c.Payment.Status == Running {
//			return c.Payment, nil // a second click
//		}
//		p := Payment{Key: sessionproc.NewID(), Status: Running}
//		err := sessionproc.GoWith(ctx, "payment", p.Key, Charge, Charged,
//			sessionproc.TaskConfig{Limit: 20 * time.Second, Retry: true})
//		if err == nil { // otherwise nothing has begun
//			c.Payment = p
//		}
//		return c.Payment, err
//	}
//
//	func (c *Cart) charged(ctx context.Context, r sessionproc.Result[Receipt]) error {
//		if r.Err != nil {
//			c.Payment.Status = Failed
//		} else {
//			c.Payment.Status = Paid
//		}
//		return Changed.Publish(ctx, c.Payment)
//	}
//
// Charge is a sessionproc.Task, whose work HandleTask binds: a method of what has the
// client of the bank. The whole program is in example_test.go.
//
// # Why it is written so
//
//   - The work never touches the state. The next handler may be using it, and after a
//     move the state is on another node. It gets an argument, and returns a value.
//   - The work begins when the handler has returned, so the key is in the state before the
//     service is called. The service recognises a key
//     that it has seen (most payment services call it an idempotency key), so asking
//     twice charges once. Without such a key leave out Retry: then an outcome that is not
//     known is an ErrTaskLost, and a person or another call finds out.
//   - With Retry another node can run the work, so it is bound by HandleTask and its
//     argument travels. What no other node need run can be a closure: sessionproc.Go.
//
// # What can be lost
//
//   - Move, renewal at a login, restart with the last state: nothing. The result comes to
//     wherever the session is, under whatever ID.
//   - The work's node leaves: Drain and Leave wait for the work. What is not done by their
//     deadline runs again where the session is; without Retry the result is an
//     ErrTaskLost. After a crash of that node it is the same.
//   - The session ends: the ctx of the work ends, and the charge may stand. If that
//     matters, OnEnd or the work records it where it outlives the session.
//   - The session's node crashes: without KindConfig.Replicas state and key are gone.
//     With it the work does not begin before the standbys know of it.
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
//   - TaskConfig.Limit ends the ctx of the work, after a minute by default.
//   - KindConfig.MaxTasks bounds the tasks of a session, node.Config.MaxTasks those that
//     run on a node. Beyond them GoWith returns an ErrTooManyTasks at once.
//   - MethodConfig.Timeout bounds a call whose ctx has no deadline, in place of
//     node.Config.CallTimeout (15 s).
//   - MethodConfig.NoWait fails a message at once, with ErrOverloaded, if the mailbox is
//     full. It does not look at how long the running handler takes.
//   - KindConfig.SlowHandler logs a handler that runs longer than 10 s, with its stack.
package slowio
