package tests

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A handler by itself: no node runs, and the ctx records what the handler does.
func TestAddRefusesTooManyAndReminds(t *testing.T) {
	ctx, session := nodetest.Context(t, nodetest.SessionConfig{Kind: NewCarts()})
	c, err := newCart(ctx, sessionproc.None{})
	require.NoError(t, err)

	view, err := c.add(ctx, Item{SKU: "tea", Qty: 2})
	require.NoError(t, err)
	require.Equal(t, 2, view.Items["tea"])
	require.Equal(t, remindIn, session.Timers()[0].Delay)

	_, err = c.add(ctx, Item{SKU: "tea", Qty: 98})
	require.ErrorIs(t, err, ErrTooMany)
}

// On three nodes: the session moves when its node leaves, with its items and its timer.
func TestCartMovesWithItemsAndReminder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, nodetest.Kind(NewCarts))
		_, err := Add.Call(t.Context(), c.Caller(), "ann", Item{SKU: "tea", Qty: 2})
		require.NoError(t, err)

		c.Leave(c.Owner("ann"))
		c.Settle()
		view, err := Look.Call(t.Context(), c.Caller(), "ann", sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, View{Items: map[string]int{"tea": 2}}, view)

		time.Sleep(remindIn) // of virtual time
		view, err = Look.Call(t.Context(), c.Caller(), "ann", sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, 1, view.Reminders)
	})
}

// A crash of another node disturbs nobody; that of its own loses the session.
func TestCartIsLostOnlyWithItsOwnNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, nodetest.Kind(NewCarts))
		_, err := Add.Call(t.Context(), c.Caller(), "ann", Item{SKU: "tea", Qty: 2})
		require.NoError(t, err)

		c.Crash((c.Owner("ann") + 1) % 3)
		c.Settle()
		_, err = Look.Call(t.Context(), c.Caller(), "ann", sessionproc.None{})
		require.NoError(t, err)

		c.Crash(c.Owner("ann"))
		c.Settle()
		_, err = Look.Call(t.Context(), c.Caller(), "ann", sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
	})
}

// A cut network has each side go on with a copy of its own. When they meet again, the cart
// has what was put into either.
func TestCopiesOfACartMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, nodetest.Kind(NewCarts))
		_, err := Add.Call(t.Context(), c.Caller(), "ann", Item{SKU: "tea", Qty: 2})
		require.NoError(t, err)

		owner := c.Owner("ann")
		c.Isolate(owner)
		c.Settle()
		for node, sku := range map[int]string{owner: "milk", (owner + 1) % 3: "bread"} {
			_, err := Add.Call(t.Context(), c.Node(node), "ann", Item{SKU: sku, Qty: 1})
			require.NoError(t, err)
		}
		c.Heal()
		c.Settle()
		time.Sleep(time.Second) // the copies meet
		view, err := Look.Call(t.Context(), c.Caller(), "ann", sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, map[string]int{"tea": 2, "milk": 1, "bread": 1}, view.Items)
	})
}

// An hour of virtual time takes a moment.
func TestCartExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 1, nodetest.Kind(NewCarts))
		require.NoError(t, Carts.Start(t.Context(), c.Caller(), "ann", sessionproc.None{}))
		time.Sleep(idleAfter + 2*time.Second)
		_, err := Look.Call(t.Context(), c.Caller(), "ann", sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
	})
}

// Everything that travels, with every field set. testdata has what releases have sent; go
// test -run Compatible -nodetest.update adds to it.
func TestCartsStayCompatible(t *testing.T) {
	items := map[string]int{"tea": 2}
	nodetest.CheckKind(t, NewCarts(), []any{
		Cart{Items: items, Reminders: 1},
		Item{SKU: "tea", Qty: 2},
		View{Items: items, Reminders: 1},
	}, "testdata")
}
