package nodetest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// testingT stands for the *testing.T of the test that an example shows.
var testingT *testing.T

// A test of a kind on three nodes, in virtual time.
func ExampleNewCluster() {
	t := testingT // func TestCartsSurviveAnotherNodesCrash(t *testing.T) {

	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, nodetest.Kind(newCarts))
		require.NoError(t, carts.Start(t.Context(), c.Caller(), "cart-1", "ann"))
		_, err := add.Call(t.Context(), c.Caller(), "cart-1", item{SKU: "tea", Qty: 2})
		require.NoError(t, err)

		c.Crash((c.Owner("cart-1") + 1) % 3)
		c.Settle() // the others have found out

		v, err := look.Call(t.Context(), c.Caller(), "cart-1", sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, 2, v.Items["tea"])
	})
}

// Faults can be combined; Settle says when the cluster has dealt with them.
func ExampleCluster_Isolate() {
	t := testingT // in a bubble, as above

	c := nodetest.NewCluster(t, 5, nodetest.Kind(newCarts))
	c.Isolate(3, 4) // two halves
	c.Settle()
	require.Len(t, c.Node(0).Members(), 3)
	require.Len(t, c.Node(4).Members(), 2)

	time.Sleep(time.Minute) // of virtual time
	c.Heal()
	c.Settle() // they have found each other again
	require.Len(t, c.Node(0).Members(), 5)
}

// A handler by itself: its timers and its Stop are recorded.
func ExampleContext() {
	t := testingT // func TestCartReminds(t *testing.T) {

	ctx, session := nodetest.Context(t, nodetest.SessionConfig{Kind: newCarts()})
	c, err := newCart(ctx, "ann")
	require.NoError(t, err)
	require.Equal(t, time.Hour, session.Timers()[0].Delay)

	_, err = c.end(ctx, "paid")
	require.NoError(t, err)
	require.Equal(t, sessionproc.Reason("paid"), session.Stopped())
}

// A fake of the sessions that a handler calls.
func ExampleReply() {
	t := testingT // func TestCartAsksTheStock(t *testing.T) {

	ctx, _ := nodetest.Context(t, nodetest.SessionConfig{Cluster: callerFunc(
		func(m sessionproc.Message) error { return nodetest.Reply(m, view{Owner: "bob"}) },
	)})
	v, err := look.Call(ctx, sessionproc.FromContext(ctx).Cluster(), "cart-2", sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, "bob", v.Owner)
}

type callerFunc func(m sessionproc.Message) error

func (f callerFunc) Deliver(_ context.Context, _ string, m sessionproc.Message) error { return f(m) }

// Everything that travels, with every field set, and a directory that is committed.
func ExampleCheckKind() {
	t := testingT // func TestCartsStayCompatible(t *testing.T) {

	items := map[string]int{"tea": 2}
	nodetest.CheckKind(t, newCarts(), []any{
		cart{Owner: "ann", Items: items, Since: time.Unix(1e9, 0), Reminders: 1},
		item{SKU: "tea", Qty: 2},
		view{Owner: "ann", Items: items, Since: time.Unix(1e9, 0)},
		reminder{Texts: []string{"still there?"}},
	}, "testdata")
}
