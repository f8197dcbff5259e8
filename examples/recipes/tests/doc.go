// Package tests is a recipe: how to test a kind of session. cart.go is a kind as an
// application has it, and cart_test.go its tests. Copy both and change them.
//
// # The problem
//
// A handler that works on one node can fail where sessions move, expire, or meet another
// release. Nobody wants to start three processes and wait half an hour to see that.
//
// # What to write
//
// Test the logic of a handler by itself. Handlers are plain methods; one that uses
// sessionproc.FromContext or sets timers gets its ctx from nodetest.Context, which records
// what the handler does:
//
//	ctx, session := nodetest.Context(t)
//	c, err := newCart(ctx, sessionproc.None{})
//	_, err = c.add(ctx, Item{SKU: "tea", Qty: 2})
//	require.Len(t, session.Timers(), 1)
//
// Test what the cluster does to a session on real nodes in virtual time. In a bubble of
// testing/synctest an hour takes milliseconds:
//
//	synctest.Test(t, func(t *testing.T) {
//		c := nodetest.NewCluster(t, 3, nodetest.Kind(NewCarts))
//		...
//		c.Leave(c.Owner("ann")) // its sessions move
//		c.Settle()
//		time.Sleep(time.Hour)   // of virtual time
//	})
//
// Test that releases understand each other. nodetest.CheckKind has samples of the state
// and of all messages travel, and compares them with what earlier releases have written
// into testdata:
//
//	go test -run Compatible -nodetest.update ./cart   # after a change; commit the files
//
// # Which tests a kind needs
//
//   - One that has the session move, with every field of the state in use. It finds what
//     was kept in a field that does not travel.
//   - One in which the session expires, if OnEnd does something.
//   - One with two copies (Cluster.Isolate, Heal), if OnMerge does something. The copies meet a
//     moment after Settle returns: sleep a second of virtual time.
//   - CheckKind, always.
//
// # What goes wrong otherwise
//
//   - A test that uses the outer t in a bubble: use the bubble's own t and t.Context().
//   - A handler that waits for a mutex which another goroutine holds while that sleeps: in
//     a bubble time then stands still.
//   - Real services in a bubble: network and disk do not follow virtual time. Give the
//     kind a fake (see "dependencies" among the examples of package sessionproc).
//   - Under the race detector of Go 1.26 run tests in virtual time with GOMAXPROCS=1: with
//     more it can crash on the timers of a bubble.
package tests
