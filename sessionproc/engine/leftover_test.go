package engine_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A pile has standbys, and two of them merge into one that has all of both.
var (
	piles   = sessionproc.KindOf[sessionproc.None]("pile")
	pileAdd = sessionproc.MethodOf[int, []int](piles, "add")
	pileGet = sessionproc.MethodOf[sessionproc.None, []int](piles, "get")
)

type pile struct{ All []int }

func (p *pile) merge(_ context.Context, other *pile) error {
	p.All = append(p.All, other.All...)
	slices.Sort(p.All)
	p.All = slices.Compact(p.All)
	return nil
}

func newPile(t *testing.T, boot uint64) (*local, *standbys) {
	k := sessionproc.NewKind(piles, startsAs[pile, sessionproc.None], sessionproc.KindConfig{Replicas: 1})
	sessionproc.HandleCall(k, pileAdd, func(p *pile, _ context.Context, n int) ([]int, error) {
		p.All = append(p.All, n)
		return p.All, nil
	})
	sessionproc.HandleCall(k, pileGet, func(p *pile, _ context.Context, _ sessionproc.None) ([]int, error) {
		return p.All, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	k.OnMerge((*pile).merge)
	return newKeptWith(t, 0, atBoot(boot), k)
}

func requirePile(t *testing.T, l *local, want ...int) {
	t.Helper()
	got, err := pileGet.Call(t.Context(), l, "a", sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func add(t *testing.T, l *local, n int) {
	t.Helper()
	_, err := pileAdd.Call(t.Context(), l, "a", n)
	require.NoError(t, err)
}

// meetLeftOver has a session meet what standbys have of it.
func meetLeftOver(t *testing.T, l *local, all ...engine.Record) {
	t.Helper()
	var copies []engine.Copy
	for _, r := range all {
		copies = append(copies, engine.Copy{Body: r.Body})
	}
	r, err := l.table.Revive(part("a"), "a", copies...)
	require.NoError(t, err)
	require.True(t, l.table.Meet(r))
}

// What a standby has of a session may be of one that still runs, out of reach. Where that is all that another copy
// has seen, and more, the session goes on from it, but counts its changes as its own.
func TestASessionThatGoesOnFromAStandbyDoesNotCountForTheOriginal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		original, s := newPile(t, 1)
		require.NoError(t, piles.Start(t.Context(), original, "a", sessionproc.None{}))
		add(t, original, 1)
		first := s.lastOf("a")
		add(t, original, 2)
		other, _ := newPile(t, 2)
		promoteFrom(t, other, "a", engine.Copy{Body: first.Body})
		meetLeftOver(t, other, s.lastOf("a"))
		requirePile(t, other, 1, 2)
		add(t, original, 3)
		add(t, other, 4)
		meet(t, other, original)
		requirePile(t, other, 1, 2, 3, 4)
	})
}

// Standbys of one session may have changes that neither of them has seen of the other.
func TestASessionMeetsAllThatItsStandbysHave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		original, s := newPile(t, 1)
		require.NoError(t, piles.Start(t.Context(), original, "a", sessionproc.None{}))
		first, sides := s.lastOf("a"), []engine.Record(nil)
		for n := range 3 {
			l, s := newPile(t, uint64(n+2))
			promoteFrom(t, l, "a", engine.Copy{Body: first.Body})
			add(t, l, n+1)
			sides = append(sides, s.lastOf("a"))
		}
		add(t, original, 4)
		meetLeftOver(t, original, sides...)
		requirePile(t, original, 1, 2, 3, 4)
		v, ok := original.table.Version(part("a"), "a")
		require.True(t, ok)
		for _, side := range sides {
			require.True(t, engine.VersionCovers(v.Append(nil), side.Version))
		}
		require.Equal(t, 1, original.table.Len())
	})
}
