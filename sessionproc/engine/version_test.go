package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func versions(t *rapid.T, label string) Version {
	var v Version
	for range rapid.IntRange(0, 4).Draw(t, label) {
		i := sessionproc.Incarnation{Number: rapid.Uint64Range(1, 3).Draw(t, "number"),
			Boot: rapid.Uint64Range(1, 2).Draw(t, "boot")}
		v = v.Join(Version{{Incarnation: i, changes: rapid.Uint64Range(1, 1<<40).Draw(t, "changes")}})
	}
	return v
}

// A joined version covers both; the least one that does: two that cover each other
// are equal.
func TestVersionsArePartiallyOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := versions(t, "a"), versions(t, "b")
		both := a.Join(b)
		require.True(t, both.Covers(a))
		require.True(t, both.Covers(b))
		require.Equal(t, both, b.Join(a))
		require.Equal(t, b.Covers(a), string(both.Append(nil)) == string(b.Append(nil)))
		require.True(t, a.Covers(nil))
	})
}

// Of two copies that have both changed neither covers the other, nor do two
// sessions that were started apart.
func TestVersionsThatBothChanged(t *testing.T) {
	start := Version{{Incarnation: sessionproc.Incarnation{Number: 1, Boot: 7}, changes: 1}}
	here := Version{{Incarnation: sessionproc.Incarnation{Number: 1, Boot: 7}, changes: 3}}
	there := start.Join(Version{{Incarnation: sessionproc.Incarnation{Number: 2, Boot: 9}, changes: 2}})
	require.False(t, here.Covers(there))
	require.False(t, there.Covers(here))
	require.True(t, here.Covers(start))
	require.True(t, there.Covers(start))
	require.False(t, start.Covers(Version{{Incarnation: sessionproc.Incarnation{Number: 1, Boot: 8}, changes: 1}}))
}

func FuzzVersion(f *testing.F) {
	f.Add(Version{{Incarnation: sessionproc.Incarnation{Number: 1, Boot: 7}, changes: 3},
		{Incarnation: sessionproc.Incarnation{Number: 2, Boot: 1 << 60}, changes: 1}}.Append(nil))
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseVersion(b)
		if err != nil {
			return
		}
		again, err := ParseVersion(v.Append(nil))
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}
