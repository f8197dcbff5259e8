package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Of encoded versions the same covers the other as of decoded ones, terminated ones and those of copies that
// have changed nothing among them.
func TestEncodedVersionsCover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (v Version) {
			for number := range rapid.Uint64Range(0, 3).Draw(t, label) {
				for boot := range rapid.Uint64Range(0, 2).Draw(t, "boots") {
					changes := rapid.SampledFrom([]uint64{0, 1, 2, 300, 1 << 40, forever}).Draw(t, "changes")
					v = append(v, seen{sessionproc.Incarnation{Number: number, Boot: boot}, changes, false})
				}
			}
			return v
		}
		a, b := draw("a"), draw("b")
		require.Equal(t, a.Covers(b), VersionCovers(a.Append(nil), b.Append(nil)))
		require.True(t, VersionCovers(a.Join(b).Append(nil), b.Append(nil)))
	})
}

// A version has room for so many incarnations. The lives that it has forgotten were terminated.
func TestAFullVersionCoversWhatItHasForgotten(t *testing.T) {
	life := func(number, changes uint64) seen { return seen{sessionproc.Incarnation{Number: number}, changes, true} }
	var v Version
	for number := range uint64(maxIncarnations + 1) {
		v = append(v, life(number+2, forever))
	}
	older, newer := v[:maxIncarnations], v[1:]
	covers := func(newer, older Version) bool {
		require.Equal(t, newer.Covers(older), VersionCovers(newer.Append(nil), older.Append(nil)))
		return newer.Covers(older)
	}
	require.True(t, covers(newer, older))
	require.False(t, covers(older, newer), "a later life")
	require.False(t, covers(newer, Version{life(1, 7)}), "a life that was not terminated")
	require.False(t, covers(newer[1:], older), "it has room")
}

func TestEncodedVersionsCoverWithoutMemory(t *testing.T) {
	one := seen{sessionproc.Incarnation{Number: 1 << 40, Boot: 1 << 60}, 7, false}
	two := Version{one, {sessionproc.Incarnation{Number: 1 << 41, Boot: 1 << 60}, 7, false}}.Append(nil)
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = VersionCovers(two, Version{one}.Append(nil)) })-
		testing.AllocsPerRun(100, func() { _ = Version{one}.Append(nil) }))
}

// What is malformed covers nothing and is covered by nothing, as far as it is read.
func FuzzVersionCovers(f *testing.F) {
	v := Version{{sessionproc.Incarnation{Number: 1, Boot: 7}, 3, false}, {sessionproc.Incarnation{Number: 2}, 0, false}}
	f.Add(v.Append(nil), v[:1].Append(nil))
	f.Add(v.Append(nil), []byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte(nil), v.Append(nil))
	f.Add([]byte{0x92, 0x93, 2, 1, 1, 0x93, 1, 1, 1}, []byte{0x91, 0x93, 1, 1, 1})
	f.Fuzz(func(t *testing.T, newer, older []byte) {
		covers := VersionCovers(newer, older)
		a, errA := ParseVersion(newer)
		b, errB := ParseVersion(older)
		switch {
		case errA == nil && errB == nil:
			require.Equal(t, a.Covers(b), covers)
		case errA == nil:
			require.False(t, covers && !a.Covers(b), "malformed: %x", older)
		}
	})
}
