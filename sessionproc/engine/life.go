package engine

import (
	"slices"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// A life of a session lasts from a start to an end. It is named by the incarnation of the start,
// whatever incarnations follow when the session is restarted, promoted or renewed. A session that
// was merged from several has the lives of all of them.
//
// A termination ends every copy of its life, whatever that has changed, and no session of another
// life. The incarnations of a version do not say this by themselves: a session names those of its
// predecessors, which have ended, and forgets those of its own beyond maxIncarnations. So in a
// version the incarnations of starts are marked, which has two uses:
//
//   - In the version of a copy the marked ones that have not ended are the lives that it is a copy
//     of.
//   - In a tombstone, and in the version of a successor, the marked ones with forever are the lives
//     that were terminated. They are forgotten last.
//
// A copy from a release that names no lives counts as a copy of every incarnation in its version.

// ends reports whether v has seen the termination of a life that other is a copy of.
func (v Version) ends(other Version) bool {
	return slices.ContainsFunc(other, func(s seen) bool {
		if !s.life || s.changes == forever {
			return false
		}
		i, has := v.find(s.Incarnation)
		return has && v[i].changes == forever
	})
}

// Overrules reports whether the end of a session with version v is also the end of a copy with
// version other.
func (v Version) Overrules(other Version) bool { return v.Covers(other) || v.ends(other) }

// over returns v as a successor has seen it, which is a copy of none of its lives.
func (v Version) over() Version {
	v = slices.Clone(v)
	for i := range v {
		v[i].life = v[i].life && v[i].changes == forever
	}
	return v
}

// AppendLife appends the encoding of the starts that v marks: an array of arrays, each of an
// incarnation's number and its boot. It travels beside the encoding of v, whose form earlier
// releases know. AppendLife appends nothing if v names one incarnation, which is then its start.
func (v Version) AppendLife(b []byte) []byte {
	if len(v) == 1 && v[0].life {
		return b
	}
	b = wire.AppendArrayLen(b, v.starts())
	for _, s := range v {
		if s.life {
			b = wire.AppendArrayLen(b, 2)
			b = wire.AppendUint(b, s.Number)
			b = wire.AppendUint(b, s.Boot)
		}
	}
	return b
}

func (v Version) starts() (n int) {
	for _, s := range v {
		if s.life {
			n++
		}
	}
	return n
}

// ParseLives decodes what Append and AppendLife wrote. It accepts input of any origin. Without
// life each incarnation counts as a start, which it is if there is only one.
func ParseLives(version, life []byte) (Version, error) {
	v, err := ParseVersion(version)
	if err != nil {
		return nil, err
	}
	if len(life) == 0 {
		for i := range v {
			v[i].life = true
		}
		return v, nil
	}
	r := wire.NewReader(life)
	for n := r.ArrayLen(); n > 0 && r.Err() == nil; n-- {
		if r.ArrayLen() != 2 {
			return nil, errVersion
		}
		start := seen{}
		start.Number, start.Boot = r.Uint(), r.Uint()
		if i, named := v.find(start.Incarnation); named {
			v[i].life = true
		}
	}
	if r.Err() != nil || len(r.Rest()) > 0 {
		return nil, errVersion
	}
	return v, nil
}
