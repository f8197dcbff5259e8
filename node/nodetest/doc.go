// Package nodetest tests kinds of session: on a whole cluster in one test, by
// themselves, and against the bytes of earlier releases.
//
// # A cluster in a test
//
// NewCluster starts real nodes on a simulated network. Nodes can crash, leave,
// stall, be cut off and come back, and no port of the machine is used:
//
//	func TestCartsOutliveAStrangersCrash(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			c := nodetest.NewCluster(t, 3, nodetest.Kind(cart.NewCarts))
//			_, err := cart.Add.Call(t.Context(), c.Caller(), "ann", cart.AddItem{SKU: "tea", Qty: 1})
//			...
//			c.Crash((c.Owner("ann") + 1) % 3)
//			c.Settle()
//			view, err := cart.Look.Call(t.Context(), c.Caller(), "ann", sessionproc.None{})
//			...
//		})
//	}
//
// In a testing/synctest bubble, as above, time is virtual: an hour of a cluster
// takes a second, and a crash is detected at once. Give NewCluster the bubble's
// own t, and use that t's Context only. Outside of a bubble the same test runs
// in real time, where it takes about 3 s to detect a crash.
//
// In a bubble time stands still while a goroutine waits for a mutex or a
// sync.Once. Handlers and tests that sleep, call or wait while they hold one
// can hang there.
//
// Two faults end a whole process, as Go cannot contain them: a Clone, MarshalState or the
// like that calls itself for ever, and a goroutine that a handler has left behind and
// that writes the state while it is encoded. Have sessions move in a test (Drain) that
// runs under -race and in real time: it names the method or the goroutine. A bubble
// orders what happens in it, so that the race detector misses some there.
//
// # A handler by itself
//
// Handlers are plain methods. Those that use sessionproc.FromContext or set
// timers need a ctx that Context makes; it records what they do.
//
// # Releases that understand each other
//
// The states of a kind move between nodes of different releases, and so do its
// messages. CheckKind sees to it that nothing is lost on the way, and that what
// an earlier release wrote is still understood.
package nodetest
