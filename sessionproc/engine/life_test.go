package engine

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A lived is a copy of a session, beside the lives that it is truly a copy of, and those that it
// knows of.
type lived struct {
	p     *process
	lives map[int]bool
	knows map[int]bool
}

// A tomb is a tombstone, beside what the session was that has ended.
type tomb struct {
	version Version
	lives   map[int]bool
	knows   map[int]bool
}

type livedOn struct {
	tables []*Table
	lives  int
}

func newLivedOn() *livedOn {
	l := &livedOn{}
	for boot := range uint64(3) {
		l.tables = append(l.tables, &Table{cfg: TableConfig{Boot: boot + 1}})
	}
	return l
}

func (l *livedOn) start(on *Table, after *tomb) *lived {
	p := &process{Head: core.Head{Host: &on.host}, born: on.born.Add(1), changes: 1}
	c := &lived{p, map[int]bool{}, map[int]bool{}}
	if after != nil {
		p.succeed(after.version)
		maps.Copy(c.knows, after.knows)
	}
	l.lives++
	c.lives[l.lives], c.knows[l.lives] = true, true
	return c
}

// travel takes c to a table the way of a snapshot. named says whether the snapshot names lives, as
// one of an earlier release does not.
func (c *lived) travel(t require.TestingT, to *Table, named bool) *lived {
	c.p.extra()
	i := c.p.incarnationLocked()
	s := &snapshot{Number: i.Number, Boot: i.Boot}
	s.setVersion(c.p.versionLocked())
	if !named {
		s.Life = nil
	}
	p := &process{Head: core.Head{Host: &to.host}, born: s.Number}
	p.extra().boot = s.Boot
	require.NoError(t, p.restoreVersion(s))
	return &lived{p, maps.Clone(c.lives), maps.Clone(c.knows)}
}

// ended returns the tombstone of c as another node has it.
func (c *lived) ended(t require.TestingT, terminated, named bool) *tomb {
	v := c.p.versionLocked()
	if terminated {
		v = v.terminated()
	}
	v = Version(nil).Join(v)
	life := v.AppendLife(nil)
	if !named {
		life = nil
	}
	v, err := ParseLives(v.Append(nil), life)
	require.NoError(t, err)
	return &tomb{v, maps.Clone(c.lives), maps.Clone(c.knows)}
}

func (c *lived) restart(times int) {
	c.p.extra()
	for range times {
		c.p.renewLocked()
		c.p.changes++
	}
}

// meet resolves c and another copy. It reports false if c is the one that does not go on.
func (c *lived) meet(other *lived) bool {
	mine, theirs := c.p.versionLocked(), other.p.versionLocked()
	switch {
	case theirs.Overrules(mine):
		return false
	case mine.Overrules(theirs):
		c.p.extra().past = mine.Join(theirs)
	default:
		c.p.extra().past = mine.Merge(theirs)
		maps.Copy(c.lives, other.lives)
	}
	maps.Copy(c.knows, other.knows)
	return true
}

func meets(a, b map[int]bool) bool {
	for life := range a {
		if b[life] {
			return true
		}
	}
	return false
}

// A termination ends the copies of its life, whatever they have changed and however often they were
// started again. It may end copies of earlier lives that the session knew of, and no others.
func TestTerminationEndsItsLifeAndNoOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLivedOn()
		var running, backups []*lived
		var expired, terminated []*tomb
		table := func() *Table { return l.tables[rapid.IntRange(0, len(l.tables)-1).Draw(t, "table")] }
		check := func(*rapid.T) {
			for _, tomb := range terminated {
				for _, c := range append(append([]*lived{}, running...), backups...) {
					must, may, ends := meets(c.lives, tomb.lives), meets(c.lives, tomb.knows), tomb.version.ends(c.p.versionLocked())
					require.True(t, ends == must || ends && may, "%v\n%v", tomb.version, c.p.versionLocked())
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": check,
			"start": func(t *rapid.T) {
				if len(running) < 3 && l.lives < maxLives/2 {
					running = append(running, l.start(table(), nil))
				}
			},
			"start anew": func(t *rapid.T) {
				tomb, _ := pick(t, append(expired[:len(expired):len(expired)], terminated...))
				if l.lives < maxLives/2 {
					running = append(running, l.start(table(), tomb))
				}
			},
			"change": func(t *rapid.T) {
				c, _ := pick(t, running)
				c.p.changes++
			},
			"restart": func(t *rapid.T) {
				c, _ := pick(t, running)
				c.restart(rapid.SampledFrom([]int{1, maxIncarnations + 1}).Draw(t, "times"))
			},
			"move": func(t *rapid.T) {
				c, i := pick(t, running)
				backups = append(backups, c.travel(t, table(), true))
				running[i] = c.travel(t, table(), true)
			},
			"promote": func(t *rapid.T) {
				b, _ := pick(t, backups)
				c := b.travel(t, table(), true)
				c.p.renewLocked()
				running = append(running, c)
			},
			"meet": func(t *rapid.T) {
				c, i := pick(t, running)
				other, j := pick(t, running)
				if i == j || !c.meet(other) {
					t.Skip("the other way round")
				}
				running = append(running[:j], running[j+1:]...)
			},
			"end": func(t *rapid.T) {
				c, i := pick(t, running)
				ends := rapid.Bool().Draw(t, "terminated")
				if tomb := c.ended(t, ends, true); ends {
					terminated = append(terminated, tomb)
				} else {
					expired = append(expired, tomb)
				}
				running = append(running[:i], running[i+1:]...)
			},
		})
	})
}

// A copy of a session was on a node that was cut off. Meanwhile the session has ended, and perhaps
// another one was started after that end.
func TestEndsMeetCopies(t *testing.T) {
	for name, c := range map[string]struct {
		restarts               int // of the session, after the copy was made
		changed, next, expired bool
		oldCopy, oldEnd        bool // snapshot or tombstone of an earlier release
		ends                   bool
	}{
		"terminated, unchanged":                          {ends: true},
		"terminated, changed":                            {changed: true, ends: true},
		"terminated after 65 restarts, unchanged":        {restarts: 65, ends: true},
		"terminated after 65 restarts, changed":          {restarts: 65, changed: true, ends: true},
		"expired, unchanged":                             {expired: true, ends: true},
		"expired, changed":                               {expired: true, changed: true},
		"a next life, after its predecessor terminated":  {next: true},
		"a next life, of an earlier release":             {next: true, oldCopy: true},
		"a next life, after 65 restarts":                 {next: true, restarts: 65},
		"terminated, changed, copy of earlier release":   {changed: true, oldCopy: true, ends: true},
		"terminated, changed, end of an earlier release": {changed: true, oldEnd: true, ends: true},
		"expired, changed, copy of an earlier release":   {expired: true, changed: true, oldCopy: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLivedOn()
			here, there := l.tables[0], l.tables[1]
			session := l.start(here, nil)
			session.restart(1)
			other := session.travel(t, there, true)
			if c.changed {
				other.restart(1)
			}
			session.restart(c.restarts)
			session.p.changes++
			end := session.ended(t, !c.expired, !c.oldEnd)
			if c.next {
				other = l.start(there, end)
				other.restart(c.restarts)
			}
			other = other.travel(t, here, !c.oldCopy)
			require.Equal(t, c.ends, end.version.Overrules(other.p.versionLocked()))
		})
	}
}

// The same life expired on one side of a cut, where another session was started, and was terminated
// on the other.
func TestTerminationDoesNotEndTheLifeAfterAnExpiry(t *testing.T) {
	l := newLivedOn()
	here := l.start(l.tables[0], nil)
	there := here.travel(t, l.tables[1], true)
	terminated := here.ended(t, true, true)
	next := l.start(l.tables[1], there.ended(t, false, true)).travel(t, l.tables[2], true)
	require.False(t, terminated.version.Overrules(next.p.versionLocked()))
	require.True(t, terminated.version.Overrules(there.p.versionLocked()))
}

// The session that is started after a termination is not merged with a copy of what was terminated,
// however often both lives were restarted.
func TestSuccessorDoesNotMergeWithATerminatedLife(t *testing.T) {
	l := newLivedOn()
	session := l.start(l.tables[0], nil)
	old := session.travel(t, l.tables[1], true)
	old.p.changes++
	for range 3 {
		session.restart(maxIncarnations + 6)
		session = l.start(l.tables[0], session.ended(t, true, true))
		session.restart(maxIncarnations + 6)
		session = session.travel(t, l.tables[2], true)
		require.True(t, session.p.versionLocked().Overrules(old.p.versionLocked()))
		require.False(t, old.p.versionLocked().Overrules(session.p.versionLocked()))
		require.LessOrEqual(t, len(session.p.ext.past), maxIncarnations)
	}
}

// The termination of a session that was merged from two lives ends copies of both.
func TestTerminationEndsAllLivesOfAMergedSession(t *testing.T) {
	l := newLivedOn()
	a, b := l.start(l.tables[0], nil), l.start(l.tables[1], nil)
	copyA, copyB := a.travel(t, l.tables[2], true), b.travel(t, l.tables[2], true)
	copyA.p.changes, copyB.p.changes = 9, 9
	a.p.extra().past = a.p.versionLocked().Merge(b.p.versionLocked())
	a.restart(maxIncarnations + 1)
	end := a.ended(t, true, true).version
	require.True(t, end.Overrules(copyA.p.versionLocked()))
	require.True(t, end.Overrules(copyB.p.versionLocked()))

	endOfB := b.ended(t, true, true).version
	require.True(t, endOfB.Overrules(a.travel(t, l.tables[2], true).p.versionLocked()), "it is a copy of b, too")
}

// The termination of a session overrules every copy of it, and none that was started without
// knowing of it.
func TestTerminationOverrulesWhatItsSessionWas(t *testing.T) {
	at := func(number, boot, changes uint64, life bool) seen {
		return seen{sessionproc.Incarnation{Number: number, Boot: boot}, changes, life}
	}
	life := Version{at(1, 1, 3, true)}
	end := life.terminated()
	gone := Version{at(1, 1, 7, true), at(4, 2, 2, false)}
	require.True(t, end.Overrules(life))
	require.True(t, end.Overrules(gone))
	require.False(t, end.Covers(gone))
	require.False(t, end.Overrules(Version{at(1, 2, 1, true)}), "it was started on the other side of a cut")

	next := end.Join(Version{at(5, 1, 1, false)})
	require.False(t, end.Overrules(next))
	require.True(t, next.Overrules(gone))
	require.False(t, gone.Overrules(next))

	expired := life // any other end ends only what it has seen
	require.True(t, expired.Overrules(life))
	require.False(t, expired.Overrules(gone))

	v, err := ParseLives(next.Append(nil), next.AppendLife(nil))
	require.NoError(t, err)
	require.Equal(t, next, v)
}

func FuzzLives(f *testing.F) {
	v := Version{{sessionproc.Incarnation{Number: 1, Boot: 7}, 3, true},
		{sessionproc.Incarnation{Number: 2, Boot: 9}, 1, false}}
	f.Add(v.Append(nil), v.AppendLife(nil))
	f.Add(v.Append(nil), []byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x90}, []byte{0x91, 0x92, 0x01, 0x02})
	f.Fuzz(func(t *testing.T, version, life []byte) {
		v, err := ParseLives(version, life)
		if err != nil {
			return
		}
		again, err := ParseLives(v.Append(nil), v.AppendLife(nil))
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}
