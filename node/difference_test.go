package node

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/roster"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func TestUnknownPartOfAReleaseIsNoDifference(t *testing.T) {
	cart := engine.Understanding{Name: "cart", Schema: 2, Methods: []string{"add"}}
	order := engine.Understanding{Name: "order"}
	own := &roster.Release{DefaultKind: "cart", Kinds: []engine.Understanding{cart, order}}
	for _, r := range []*roster.Release{
		own,
		// Of an earlier release of this library:
		roster.NamesOnly([]string{"cart", "order"}),
		{DefaultKind: "cart", Kinds: []engine.Understanding{cart}, Cut: true},
	} {
		_, differs := differs(own, r)
		require.False(t, differs, r)
		require.Empty(t, r.CannotTake(engine.Needs{Kind: "cart", Schema: 2}), r)
		require.Empty(t, r.CannotTake(engine.Needs{Kind: "order", Schema: 0}), r)
	}
	d, differs := differs(own, roster.NamesOnly([]string{"cart"}))
	require.True(t, differs)
	require.Equal(t, Difference{OnlyHere: []string{"kind order"}}, d)
	require.Contains(t, (&roster.Release{Kinds: own.Kinds[1:]}).CannotTake(engine.Needs{Kind: "cart", Schema: 2}),
		"not given the kind")
	require.Contains(t, own.CannotTake(engine.Needs{Kind: "cart", Schema: 3}), "schema 2")
	require.Empty(t, own.CannotTake(engine.Needs{Kind: "cart", Schema: 1}), "it migrates")
}

func FuzzRelease(f *testing.F) {
	_, b := roster.NewRelease("cart", []engine.Understanding{{Name: "cart", Schema: 2, Methods: []string{"add"}}})
	f.Add(b)
	f.Add([]byte{0x80})
	own := &roster.Release{Kinds: []engine.Understanding{{Name: "cart"}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := roster.ReadRelease(b)
		if err != nil {
			return
		}
		differs(own, r)
		differs(r, own)
		r.CannotTake(engine.Needs{Kind: "cart", Schema: 1})
	})
}
