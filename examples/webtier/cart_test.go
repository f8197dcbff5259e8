package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
)

// The handlers are plain methods: no node is needed to test them, but those that
// use their session get a ctx of one.
func TestCartKeepsWhatIsAdded(t *testing.T) {
	ctx, _ := nodetest.Context(t)
	c, err := newCart(ctx, struct{}{})
	require.NoError(t, err)
	for _, row := range []struct {
		sku  string
		qty  int
		want map[string]int
		err  error
	}{
		{"sencha", 2, map[string]int{"sencha": 2}, nil},
		{"matcha", 1, map[string]int{"sencha": 2, "matcha": 1}, nil},
		{"sencha", -1, map[string]int{"sencha": 1, "matcha": 1}, nil},
		{"matcha", -5, map[string]int{"sencha": 1}, nil},
		{"oolong", -1, map[string]int{"sencha": 1}, nil},
		{"coffee", 1, nil, ErrNoSuchTea},
		{"sencha", 99, nil, ErrTooMany},
		{"sencha", math.MaxInt, nil, ErrTooMany},
		{"sencha", math.MinInt, nil, ErrTooMany},
		{"sencha", 98, map[string]int{"sencha": 99}, nil},
	} {
		got, err := c.add(ctx, AddItem{SKU: row.sku, Qty: row.qty})
		require.ErrorIs(t, err, row.err, "%+d %s", row.qty, row.sku)
		require.Equal(t, row.want, got.Items, "%+d %s", row.qty, row.sku)
	}
	_, err = c.clear(ctx, struct{}{})
	require.NoError(t, err)
	view, err := c.look(ctx, struct{}{})
	require.NoError(t, err)
	require.Empty(t, view.Items)
	require.Equal(t, 7, view.Changes, "six that it took, and the last one")
}
