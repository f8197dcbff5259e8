package sessionproc

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// Version says which changes a copy of a session has seen: how many of each of
// its incarnations, sorted by incarnation. The start of a session is the first
// change of its first incarnation; every message that was handled is one, unless its
// method is ReadOnly. Nobody else counts for an incarnation, so of two copies one has
// seen all that the other has, or both have changed by themselves.
//
// A new incarnation by itself is no change: a copy that has run again somewhere and
// done nothing is equal to the one that it was made of. The incarnation is named all
// the same, with no changes, so that who knew the session under it finds it again.
//
// A session that was terminated has seen everything that can still become of it
// (forever): its end overrules every copy of it, whatever that has changed. A session
// that is started anew under the ID has seen what its predecessor had.
type Version []seen

type seen struct {
	Incarnation
	changes uint64
}

// forever is how many changes of an incarnation have been seen by the end of a session
// that was terminated.
const forever = math.MaxUint64

func (i Incarnation) compare(other Incarnation) int {
	return cmp.Or(cmp.Compare(i.Number, other.Number), cmp.Compare(i.Boot, other.Boot))
}

func (v Version) find(i Incarnation) (int, bool) {
	return slices.BinarySearchFunc(v, i, func(s seen, i Incarnation) int { return s.compare(i) })
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

// Includes reports whether v covers other and names its incarnations, so that there is
// nothing to be learnt from it.
func (v Version) Includes(other Version) bool {
	for _, s := range other {
		if _, named := v.find(s.Incarnation); !named {
			return false
		}
	}
	return v.Covers(other)
}

// ends reports whether v has seen the termination of a session that other, or a part
// of it, is a copy of.
func (v Version) ends(other Version) bool {
	return slices.ContainsFunc(v, func(s seen) bool {
		if s.changes != forever {
			return false
		}
		i, has := other.find(s.Incarnation)
		return has && other[i].changes != forever
	})
}

// Overrules reports whether the end of a session, with version v, is the end of a copy
// of it too.
func (v Version) Overrules(other Version) bool { return v.Covers(other) || v.ends(other) }

// terminated is the version of a session's termination.
func (v Version) terminated() Version {
	v = slices.Clone(v)
	for i := range v {
		v[i].changes = forever
	}
	return v
}

// maxIncarnations is how many earlier incarnations a version names. One that a session
// has had before those counts as unknown to it: a copy of that time which turns up again
// is joined with it as if it had changed by itself.
const maxIncarnations = 64

// Join returns the version of a copy that has seen what either has. Of more than
// maxIncarnations it names the latest.
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

// bounded is v without what is beyond maxIncarnations. Those that have changed nothing
// go first.
func (v Version) bounded() Version {
	if len(v) <= maxIncarnations {
		return v
	}
	v = slices.DeleteFunc(slices.Clone(v), func(s seen) bool { return s.changes == 0 })
	return v[max(0, len(v)-maxIncarnations):]
}

// Append appends v as it travels between nodes: an array of arrays of an
// incarnation's number and boot, and its changes.
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

// ParseVersion reads what Append wrote.
func ParseVersion(b []byte) (v Version, err error) {
	r := wire.NewReader(b)
	for n := r.ArrayLen(); n > 0 && r.Err() == nil; n-- {
		if r.ArrayLen() != 3 {
			return nil, errVersion
		}
		s := seen{Incarnation{r.Uint(), r.Uint()}, r.Uint()}
		if len(v) > 0 && v[len(v)-1].compare(s.Incarnation) >= 0 {
			return nil, errVersion
		}
		v = append(v, s)
	}
	if r.Err() != nil || len(r.Rest()) > 0 {
		return nil, errVersion
	}
	return v, nil
}

// Version returns the version of session id; ok: it is in the table.
func (t *Table) Version(part int, id string) (v Version, ok bool) {
	p := t.find(part, id)
	if p == nil {
		return nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allVersionLocked(), true
}

// allVersionLocked is the version of the session when it has met all copies that
// have come.
func (p *process) allVersionLocked() Version {
	v := p.versionLocked()
	if p.ext != nil {
		for _, o := range p.ext.others {
			v = v.Join(o.allVersionLocked())
		}
	}
	return v
}

func (p *process) versionLocked() Version {
	mine := Version{{p.incarnationLocked(), p.changes}}
	if p.ext == nil || p.ext.past == nil {
		return mine
	}
	return p.ext.past.join(mine) // the present one is never left out
}
