package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// snapshotOf is the snapshot of a session that goes on.
func snapshotOf(t testing.TB, l *local, id string) []byte {
	t.Helper()
	b, err := take(t, l, id)
	require.NoError(t, err)
	l.table.Resume(part(id), id)
	return b
}

// grave is a Gate that keeps the tombstones of all sessions that end.
type grave struct {
	l    *local
	seen map[string]engine.Version
}

func (g *grave) Enter(_ int, _ string, e engine.Entry) error {
	if !e.Here() {
		e.Begin()
	}
	return nil
}

func (g *grave) Settled(int, string) bool { return true }

func (g *grave) Leave(part int, id string, remove func()) {
	g.seen[id] = g.l.table.Tombstone(part, id)
	remove()
}

// A session that is started anew under the ID of one that has ended is never merged
// with a copy of that. What such a copy has changed since is lost if the session was
// terminated; after any other end both go on as one, as after any partition.
func TestSessionStartedAnewIsNotMergedWithItsPredecessor(t *testing.T) {
	for name, c := range map[string]struct {
		terminated, changed, copyIsHere bool
		want                            []string
		copies                          engine.Copies
	}{
		"terminated":                 {terminated: true, want: []string{"second"}},
		"terminated, a copy goes on": {terminated: true, changed: true, want: []string{"second"}},
		"stopped":                    {want: []string{"second"}},
		"stopped, a copy has changed": {changed: true, want: []string{"second", "first"},
			copies: engine.Copies{Merged: 1}},
		"the copy is here, terminated": {copyIsHere: true, terminated: true, changed: true, want: []string{"second"}},
		"the copy is here, unchanged":  {copyIsHere: true, terminated: true, want: []string{"second"}},
		"the copy is here, stopped":    {copyIsHere: true, want: []string{"second"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &grave{seen: map[string]engine.Version{}}
			l := newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Gate = g }, newDiaries())
			g.l = l
			other := newLocalWith(t, atBoot(9), newDiaries())
			for range 5 { // the numbers of incarnations
				require.NoError(t, diaries.Start(t.Context(), other, sessionproc.NewID(), nil))
			}
			require.NoError(t, diaries.Start(t.Context(), l, "a", []string{"first"}))
			r, err := other.table.Restore(part("a"), "a", snapshotOf(t, l, "a"))
			require.NoError(t, err)
			r.Renew()
			require.NoError(t, r.Insert())
			if c.changed {
				_, err := alter.Call(t.Context(), other, "a", sessionproc.None{})
				require.NoError(t, err)
			}
			if c.terminated {
				require.NoError(t, l.terminate(t.Context(), "a"))
			} else {
				l.table.EndPartition(part("a"), sessionproc.ReasonStopped)
			}
			require.Eventually(t, func() bool { return l.table.Len() == 0 }, 30*time.Second, time.Millisecond)
			require.True(t, l.table.Succeed("a", g.seen["a"], func() bool {
				return diaries.Start(t.Context(), l, "a", []string{"second"}) == nil
			}))
			here, there := l, other
			if c.copyIsHere {
				here, there = other, l
			}
			meet(t, here, there)
			got, err := read.Call(t.Context(), here, "a", sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, c.copies, here.table.Copies())
		})
	}
}

// A tombstone that comes ends the copy that is here, unless that has seen more.
func TestTombstoneEndsTheCopyThatItOverrules(t *testing.T) {
	for name, c := range map[string]struct {
		terminated, changed, apart bool
		ends                       bool
	}{
		"the same":                          {ends: true},
		"it has changed since":              {changed: true},
		"terminated, and it has changed":    {terminated: true, changed: true, ends: true},
		"terminated, and it has not":        {terminated: true, ends: true},
		"started apart, and was stopped":    {apart: true},
		"started apart, and was terminated": {apart: true, terminated: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := &grave{seen: map[string]engine.Version{}}
			there := newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Gate = g },
				newPhoenixes(sessionproc.KindConfig{}, nil))
			g.l = there
			here := bagTable(t, 2)
			require.NoError(t, phoenixes.Start(t.Context(), there, "a", 5))
			if c.apart {
				require.NoError(t, phoenixes.Start(t.Context(), here, "a", 5))
			} else {
				r, err := here.table.Restore(part("a"), "a", snapshotOf(t, there, "a"))
				require.NoError(t, err)
				r.Renew()
				require.NoError(t, r.Insert())
			}
			if c.changed {
				feedIt(t, here, "a", 1)
				// The caller is answered before the change is counted: the next answer comes after it.
				_, _ = feed.Call(t.Context(), here, "a", 0)
			}
			if c.terminated {
				require.NoError(t, there.terminate(t.Context(), "a"))
			} else {
				there.table.EndPartition(part("a"), sessionproc.ReasonStopped)
			}
			after, ends := here.table.EndCopy(part("a"), "a", g.seen["a"])
			require.Equal(t, c.ends, ends)
			if ends {
				after()
				require.Zero(t, here.table.Len())
				require.Zero(t, here.table.Live("phoenix"))
				return
			}
			feedIt(t, here, "a", 1)
			v, ok := here.table.Version(part("a"), "a")
			require.True(t, ok)
			require.True(t, v.Covers(g.seen["a"]), "what has ended does not come back beside it")
		})
	}
}

// Who watches a session that has ended is not taken for one that watches its
// successor, though that has seen all that it had.
func TestWatchesOfAPredecessorHearOfItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &grave{seen: map[string]engine.Version{}}
		s, other := sharingWith(t, func(cfg *engine.TableConfig) { cfg.Gate = g },
			plainBoards()), plainSharing(t)
		g.l = s.local
		s.board(t, "a", 1)
		s.board(t, "watcher", 0)
		_, err := watch.Call(t.Context(), s, "watcher", "a")
		require.NoError(t, err)
		watcher, err := take(t, s.local, "watcher")
		require.NoError(t, err)
		s.table.EndPartition(part("a"), sessionproc.ReasonExpired)
		synctest.Wait()
		require.True(t, s.table.Succeed("a", g.seen["a"], func() bool { return boards.Start(t.Context(), s, "a", 2) == nil }))
		time.Sleep(2 * time.Minute) // nobody knows any more how it ended
		travel(t, s.local, other.local, "a")
		require.NoError(t, land(other.local, "watcher", watcher))
		time.Sleep(time.Second)
		ends, err := reports.Call(t.Context(), other, "watcher", sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []string{"a lost"}, ends)
	})
}
