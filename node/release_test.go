package node

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestWhatIsNotKnownOfAReleaseIsNoDifference(t *testing.T) {
	cart := sessionproc.Understanding{Name: "cart", Schema: 2, Methods: []string{"add"}}
	order := sessionproc.Understanding{Name: "order"}
	own := &release{DefaultKind: "cart", Kinds: []sessionproc.Understanding{cart, order}}
	for _, r := range []*release{
		own,
		// Of an earlier release of this library:
		{onlyNames: true, Kinds: []sessionproc.Understanding{{Name: "cart"}, {Name: "order"}}},
		{DefaultKind: "cart", Kinds: []sessionproc.Understanding{cart}, Cut: true},
	} {
		_, differs := differs(own, r)
		require.False(t, differs, r)
		require.Empty(t, r.cannotTake(sessionproc.Needs{Kind: "cart", Schema: 2}), r)
		require.Empty(t, r.cannotTake(sessionproc.Needs{Kind: "order", Schema: 0}), r)
	}
	d, differs := differs(own, &release{onlyNames: true, Kinds: []sessionproc.Understanding{{Name: "cart"}}})
	require.True(t, differs)
	require.Equal(t, Difference{OnlyHere: []string{"kind order"}}, d)
	require.Contains(t, (&release{Kinds: own.Kinds[1:]}).cannotTake(sessionproc.Needs{Kind: "cart", Schema: 2}),
		"not given the kind")
	require.Contains(t, own.cannotTake(sessionproc.Needs{Kind: "cart", Schema: 3}), "schema 2")
	require.Empty(t, own.cannotTake(sessionproc.Needs{Kind: "cart", Schema: 1}), "it migrates")
}

func TestReleaseOfAnySizeFits(t *testing.T) {
	var kinds []sessionproc.Understanding
	for range 300 {
		var names []string
		for range 200 {
			names = append(names, strings.Repeat("m", 64))
		}
		kinds = append(kinds, sessionproc.Understanding{Name: strings.Repeat("k", 64), Methods: names})
	}
	own, b := ownRelease("k", kinds)
	require.Len(t, own.Kinds, 300)
	require.LessOrEqual(t, len(b), maxRelease)
	var told release
	require.NoError(t, sessionproc.DecodeForeign(b, &told))
	require.True(t, told.Cut)
	require.Equal(t, "k", told.DefaultKind)
	require.NotEmpty(t, told.Kinds)
}

func FuzzRelease(f *testing.F) {
	_, b := ownRelease("cart", []sessionproc.Understanding{{Name: "cart", Schema: 2, Methods: []string{"add"}}})
	f.Add(b)
	f.Add([]byte{0x80})
	own := &release{Kinds: []sessionproc.Understanding{{Name: "cart"}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRelease(b)
		if err != nil {
			return
		}
		differs(own, r)
		differs(r, own)
		r.cannotTake(sessionproc.Needs{Kind: "cart", Schema: 1})
	})
}
