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
// under the ID has seen what its predecessor had.
type Version []seen

type seen struct {
	sessionproc.Incarnation
	changes uint64
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
		if i, ok := v.find(s.Incarnation); s.changes > 0 && (!ok || v[i].changes < s.changes) {
			return false
		}
	}
	return true
}

// Includes reports whether v covers other and also names all its incarnations, so that joining
// other would change nothing.
func (v Version) Includes(other Version) bool {
	for _, s := range other {
		if _, named := v.find(s.Incarnation); !named {
			return false
		}
	}
	return v.Covers(other)
}

// ends reports whether v has seen the termination of a session of which other, or an incarnation in
// it, is a copy.
func (v Version) ends(other Version) bool {
	return slices.ContainsFunc(v, func(s seen) bool {
		if s.changes != forever {
			return false
		}
		i, has := other.find(s.Incarnation)
		return has && other[i].changes != forever
	})
}

// Overrules reports whether the end of a session with version v is also the end of a copy with
// version other.
func (v Version) Overrules(other Version) bool { return v.Covers(other) || v.ends(other) }

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

// Join returns the version of a copy that has seen what v and other have seen. It names the latest
// maxIncarnations incarnations.
func (v Version) Join(other Version) Version { return v.join(other).bounded() }

func (v Version) join(other Version) Version {
	v = slices.Clone(v)
	for _, s := range other {
		if i, ok := v.find(s.Incarnation); ok {
			v[i].changes = max(v[i].changes, s.changes)
		} else {
			v = slices.Insert(v, i, s)
		}
	}
	return v
}

// bounded returns v with at most maxIncarnations incarnations. It drops incarnations without
// changes first, and then the oldest.
func (v Version) bounded() Version {
	if len(v) <= maxIncarnations {
		return v
	}
	v = slices.DeleteFunc(slices.Clone(v), func(s seen) bool { return s.changes == 0 })
	return v[max(0, len(v)-maxIncarnations):]
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
		s := seen{sessionproc.Incarnation{Number: r.Uint(), Boot: r.Uint()}, r.Uint()}
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
			v = v.Join(o.allVersionLocked())
		}
	}
	return v
}

// versionLocked returns the version of the session without the copies that wait for it.
func (p *process) versionLocked() Version {
	mine := Version{{p.incarnationLocked(), p.changes}}
	if p.ext == nil || p.ext.past == nil {
		return mine
	}
	return p.ext.past.join(mine) // not bounded: the present incarnation is never left out
}

// renewLocked begins a new incarnation of the session and keeps what the previous ones have seen.
func (p *process) renewLocked() {
	p.ext.past = p.versionLocked().bounded()
	p.numberLocked()
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
}
