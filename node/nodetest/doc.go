// Package nodetest tests kinds of session: a handler by itself, a kind on a whole
// cluster in one test, and what travels against the bytes of earlier releases.
//
// The package examples/recipes/tests is a kind with such tests, to copy.
//
// # A handler by itself
//
// Handlers are plain methods. A handler that uses sessionproc.FromContext or sets timers
// needs a ctx that Context makes. The Session beside it records what the handler does:
//
//	ctx, session := nodetest.Context(t)
//	c, err := newCart(ctx, sessionproc.None{})
//	...
//	require.Equal(t, time.Hour, session.Timers()[0].Delay)
//
// # A cluster in a test
//
// NewCluster starts real nodes on a simulated network. Nodes can crash, leave,
// stall, be cut off and come back, and no port of the machine is used:
//
//	func TestCartsSurviveAnotherNodesCrash(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			c := nodetest.NewCluster(t, 3, nodetest.Kind(cart.NewCarts))
//			_, err := cart.Add.Call(t.Context(), c.Caller(), "ann", cart.AddItem{SKU: "tea", Qty: 1})
//			...
//			c.Crash((c.Owner("ann") + 1) % 3)
//			c.Settle() // until the others have noticed
//			view, err := cart.Look.Call(t.Context(), c.Caller(), "ann", sessionproc.None{})
//			...
//		})
//	}
//
// To have a node crash at an exact step, such as between the record of a change and its
// answer, see Config.OnStep.
//
// In a testing/synctest bubble, as above, time is virtual: an hour of a cluster
// takes a second, and a crash is detected at once. Give NewCluster the bubble's
// own t, and use that t's Context only. Outside of a bubble the same test runs
// in real time, where a crash is detected after about 3 s.
//
// In a bubble time stands still while a goroutine waits for a mutex or a
// sync.Once. A handler or test that sleeps, calls or waits while it holds one
// can hang there.
//
// # Tasks
//
// The tasks of sessions (sessionproc.Go) run in the time of the test. Cluster.Tasks holds them, has them
// fail, or loses them, and so shows what a session does meanwhile and afterwards:
//
//	c.Tasks().Hold("pay")
//	_, err := cart.Pay.Call(t.Context(), c.Caller(), "ann", card)
//	...                                // the cart is paying, and is called, moves, crashes
//	require.Equal(t, 1, c.Tasks().Lose("pay"))
//	...                                // it has got an ErrTaskLost
//
// In a test of one handler Session.Tasks has those that it has begun.
//
// # Releases that understand each other
//
// States and messages of a kind travel between nodes of different releases. CheckKind
// reports what is lost on the way, and compares with what earlier releases have written,
// which is kept in files:
//
//	nodetest.CheckKind(t, cart.NewCarts(), []any{
//		cart.Cart{Items: map[string]int{"tea": 2}},
//		cart.AddItem{SKU: "tea", Qty: 2},
//	}, "testdata")
//
// # What only a test under the race detector finds
//
// Two faults end a whole process, as Go cannot contain them: a Clone, MarshalState or the
// like that calls itself for ever, and a goroutine that a handler has left behind and
// that writes the state while it is encoded. A test in which sessions move (Drain) finds
// both if it runs under -race and in real time: it names the method or the goroutine. A
// bubble orders what happens in it, so that the race detector misses some there. Run
// tests in a bubble under -race with GOMAXPROCS=1: with more, the race detector of Go 1.26
// can crash on a bubble's timers.
package nodetest
