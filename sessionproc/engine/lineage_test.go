package engine

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// lineage is one copy of a session, or the snapshot of one, beside the changes that it
// has truly seen.
type lineage struct {
	p    *process
	seen map[int]bool
}

// lineages is a cluster that does to copies of one session whatever can happen.
type lineages struct {
	tables  []*Table
	running []*lineage
	backups []*lineage
	tombs   []tombOf
	changes int
}

type tombOf struct {
	version Version
	seen    map[int]bool
}

func (l *lineages) change() int {
	l.changes++
	return l.changes
}

// copy takes a copy the way of a snapshot to another table.
func (l *lineages) copy(t *rapid.T, c *lineage, to *Table) *lineage {
	c.p.extra()
	s := &snapshot{Number: c.p.incarnationLocked().Number, Boot: c.p.incarnationLocked().Boot,
		Version: c.p.versionLocked().Append(nil), Life: c.p.versionLocked().AppendLife(nil)}
	p := &process{Head: core.Head{Host: &to.host}, born: s.Number}
	p.extra().boot = s.Boot
	require.NoError(t, p.restoreVersion(s))
	return &lineage{p, maps.Clone(c.seen)}
}

func (l *lineages) table(t *rapid.T) *Table { return rapid.SampledFrom(l.tables).Draw(t, "table") }

func (l *lineages) start(t *rapid.T, after *tombOf) {
	table := l.table(t)
	p := &process{Head: core.Head{Host: &table.host}, born: table.born.Add(1), changes: 1}
	seen := map[int]bool{}
	if after != nil {
		p.succeed(after.version)
		seen = maps.Clone(after.seen)
	}
	seen[l.change()] = true
	l.running = append(l.running, &lineage{p, seen})
}

func pick[T any](t *rapid.T, all []T) (one T, i int) {
	if len(all) == 0 {
		t.Skip("there is none")
	}
	i = rapid.IntRange(0, len(all)-1).Draw(t, "which")
	return all[i], i
}

// Of two copies of a session one covers the other if, and only if, it has seen all
// changes that the other has; a new incarnation is none. A session that was started
// anew covers those that had ended with the tombstone that it was started after.
func TestVersionCoversExactlyTheChangesItHasSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &lineages{}
		for boot := range uint64(3) {
			l.tables = append(l.tables, &Table{cfg: TableConfig{Boot: boot + 1}})
		}
		t.Repeat(map[string]func(*rapid.T){
			"": l.check,
			"start": func(t *rapid.T) {
				if len(l.running) < 3 {
					l.start(t, nil)
				}
			},
			"change": func(t *rapid.T) {
				c, _ := pick(t, l.running)
				c.p.changes++
				c.seen[l.change()] = true
			},
			"move": func(t *rapid.T) {
				c, i := pick(t, l.running)
				l.backups = append(l.backups, l.copy(t, c, l.table(t)))
				l.running[i] = l.copy(t, c, l.table(t))
			},
			"promote": func(t *rapid.T) {
				b, _ := pick(t, l.backups)
				c := l.copy(t, b, l.table(t))
				c.p.renewLocked()
				l.running = append(l.running, c)
			},
			"meet": func(t *rapid.T) {
				_, i := pick(t, l.running)
				other, j := pick(t, l.running)
				if i == j {
					t.Skip("it is the same one")
				}
				c := l.running[i]
				mine, theirs := c.p.versionLocked(), other.p.versionLocked()
				c.p.extra().past = mine.Merge(theirs)
				if !mine.Covers(theirs) {
					c.p.changes++
					c.seen[l.change()] = true
				}
				maps.Copy(c.seen, other.seen)
				l.running = append(l.running[:j], l.running[j+1:]...)
			},
			"end": func(t *rapid.T) {
				c, i := pick(t, l.running)
				l.tombs = append(l.tombs, tombOf{c.p.versionLocked(), c.seen})
				l.running = append(l.running[:i], l.running[i+1:]...)
			},
			"start anew": func(t *rapid.T) {
				tomb, _ := pick(t, l.tombs)
				l.start(t, &tomb)
			},
		})
	})
}

func (l *lineages) check(t *rapid.T) {
	if l.changes > maxIncarnations/2 {
		t.Skip("more incarnations than a version names")
	}
	all := append(append([]*lineage{}, l.running...), l.backups...)
	for _, a := range all {
		for _, b := range all {
			within := true
			for change := range b.seen {
				within = within && a.seen[change]
			}
			require.Equal(t, within, a.p.versionLocked().Covers(b.p.versionLocked()), "%v\n%v", a.p.versionLocked(),
				b.p.versionLocked())
		}
	}
}
