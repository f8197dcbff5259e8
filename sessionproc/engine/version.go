package engine

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// A Version says which changes a copy of a session has seen: for each incarnation, sorted, how many
// of its changes. It is a version vector whose replicas are incarnations. The start of a session is
// the first change of its first incarnation. Every handled message is a change, unless its method
// is ReadOnly. Only one session counts the changes of an incarnation. So of two copies either one
// has seen all that the other has, or both have changed independently.
//
// A new incarnation by itself is no change: a copy that was started again somewhere and handled
// nothing is equal to its original. The version names such an incarnation all the same, with zero
// changes, so that subscribers which know the session under it find the session again.
//
// The version of a terminated session has seen everything that can still happen to it (forever),
// so its end overrules every copy, whatever the copy has changed. A session that is started again
// under the ID has seen what its predecessor had. See life.go for the lives that it names.
type Version []seen

type seen struct {
	sessionproc.Incarnation
	changes uint64
	life    bool // the incarnation of a start; see life.go
}

// forever is the number of changes of every incarnation in the version of a terminated session.
const forever = math.MaxUint64

// compare orders incarnations by number and then by boot. All nodes use the same order.
func compare(i, other sessionproc.Incarnation) int {
	return cmp.Or(cmp.Compare(i.Number, other.Number), cmp.Compare(i.Boot, other.Boot))
}

func (v Version) find(i sessionproc.Incarnation) (int, bool) {
	return slices.BinarySearchFunc(v, i, func(s seen, i sessionproc.Incarnation) int { return compare(s.Incarnation, i) })
}

// Covers reports whether v has seen all that other has.
func (v Version) Covers(other Version) bool {
	for _, s := range other {
		if i, ok := v.find(s.Incarnation); s.changes > 0 && (!ok || v[i].changes < s.changes) && !v.hasForgotten(s) {
			return false
		}
	}
	return true
}

// hasForgotten reports whether s is of a terminated life, for which v has no room any more. Then nothing is lost if
// what has seen its end gives way to v.
func (v Version) hasForgotten(s seen) bool {
	return s.changes == forever && len(v) >= maxIncarnations && compare(s.Incarnation, v[0].Incarnation) < 0
}

// Includes reports whether v covers other and also names all its incarnations, so that joining
// other would change nothing.
func (v Version) Includes(other Version) bool {
	for _, s := range other {
		if _, named := v.find(s.Incarnation); !named && !v.hasForgotten(s) {
			return false
		}
	}
	return v.Covers(other)
}

// lives reports whether v names a life that v has not seen end.
func (v Version) lives() bool {
	return slices.ContainsFunc(v, func(s seen) bool { return s.life && s.changes != forever })
}

// terminated returns v as the version of a terminated session.
func (v Version) terminated() Version {
	v = slices.Clone(v)
	for i := range v {
		v[i].changes = forever
	}
	return v
}

// maxIncarnations is the number of earlier incarnations that a version names. A session forgets
// older ones. A copy that returns from such an incarnation is merged as if it had changed
// independently, which loses nothing.
const maxIncarnations = 64

// Join returns the version of a copy v that has seen what other has seen. It names the latest
// maxIncarnations incarnations.
func (v Version) Join(other Version) Version { return v.join(other).bounded() }

func (v Version) join(other Version) Version {
	v = slices.Clone(v)
	for _, s := range other {
		s.life = s.life && s.changes == forever // v is no copy of a life of other
		if i, ok := v.find(s.Incarnation); ok {
			v[i].changes = max(v[i].changes, s.changes)
			v[i].life = v[i].life || s.life
		} else {
			v = slices.Insert(v, i, s)
		}
	}
	return v
}

// Merge returns the version of what was made of two copies: it has the lives of both.
func (v Version) Merge(other Version) Version { return v.merge(other).bounded() }

func (v Version) merge(other Version) Version {
	both := v.join(other)
	for _, s := range other {
		if i, _ := both.find(s.Incarnation); s.life {
			both[i].life = true
		}
	}
	return both
}

// maxLives is the number of starts that stay marked in a version with more than maxIncarnations
// incarnations, the latest ones.
const maxLives = maxIncarnations / 2

// bounded returns v with at most maxIncarnations incarnations. It drops incarnations without
// changes first, then the oldest, and of the starts only those before the latest maxLives.
func (v Version) bounded() Version {
	if len(v) <= maxIncarnations {
		return v
	}
	v = slices.Clone(v)
	starts := 0
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].life {
			starts++
			v[i].life = starts <= maxLives
		}
	}
	v = slices.DeleteFunc(v, func(s seen) bool { return s.changes == 0 && !s.life })
	excess := len(v) - maxIncarnations
	return slices.DeleteFunc(v, func(s seen) bool {
		drop := excess > 0 && !s.life
		if drop {
			excess--
		}
		return drop
	})
}

// Append appends the encoding of v for other nodes: an array of arrays, each of an incarnation's
// number, its boot, and its changes.
func (v Version) Append(b []byte) []byte {
	b = wire.AppendArrayLen(b, len(v))
	for _, s := range v {
		b = wire.AppendArrayLen(b, 3)
		b = wire.AppendUint(b, s.Number)
		b = wire.AppendUint(b, s.Boot)
		b = wire.AppendUint(b, s.changes)
	}
	return b
}

var errVersion = errors.New("sessionproc: malformed version")

// ParseVersion decodes what Append wrote. It accepts input of any origin and checks the order,
// which find relies on.
func ParseVersion(b []byte) (v Version, err error) {
	r := wire.NewReader(b)
	for n := r.ArrayLen(); n > 0 && r.Err() == nil; n-- {
		if r.ArrayLen() != 3 {
			return nil, errVersion
		}
		s := seen{Incarnation: sessionproc.Incarnation{Number: r.Uint(), Boot: r.Uint()}, changes: r.Uint()}
		if len(v) > 0 && compare(v[len(v)-1].Incarnation, s.Incarnation) >= 0 {
			return nil, errVersion
		}
		v = append(v, s)
	}
	if r.Err() != nil || len(r.Rest()) > 0 {
		return nil, errVersion
	}
	return v, nil
}

// Version returns the version of session id. ok reports whether the session is in the table.
func (t *Table) Version(part int, id string) (v Version, ok bool) {
	p := t.find(part, id)
	if p == nil {
		return nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allVersionLocked(), true
}

// allVersionLocked returns the version that the session has once it has met the copies that wait
// for it.
func (p *process) allVersionLocked() Version {
	v := p.versionLocked()
	if p.ext != nil {
		for _, o := range p.ext.others {
			v = v.Merge(o.allVersionLocked())
		}
	}
	return v
}

// versionLocked returns the version of the session without the copies that wait for it.
func (p *process) versionLocked() Version {
	mine := p.seenLocked()
	if p.ext == nil || p.ext.past == nil {
		return Version{mine}
	}
	mine.life = !p.ext.past.lives()
	return p.ext.past.merge(Version{mine}) // not bounded: the present incarnation is never left out
}

// seenLocked returns the changes of the present incarnation.
func (p *process) seenLocked() seen {
	s := seen{Incarnation: p.incarnationLocked(), changes: p.changes, life: true}
	if d := p.ext.recordsOf(); d != nil {
		s.changes += d.others
	}
	return s
}

// renewLocked begins a new incarnation of the session and keeps what the previous ones have seen.
func (p *process) renewLocked() {
	p.ext.past = p.versionLocked().bounded()
	p.numberLocked()
	p.ext.leftOver = false
}

// numberLocked takes a new incarnation number, higher than that of any past one: Covers and wins
// rely on the order of the numbers.
func (p *process) numberLocked() {
	after := p.ext.past[len(p.ext.past)-1].Number
	for {
		last := p.table().born.Load()
		if p.born = max(last, after) + 1; p.table().born.CompareAndSwap(last, p.born) {
			break
		}
	}
	p.bornLocked(0)
	p.changes = 0
	if d := p.ext.records; d != nil {
		d.others = 0
	}
}
