package engine

import (
	"github.com/sessionproc/sessionproc/transport/wire"
)

// RecordVersion returns the version of a session, with its lives, from what a standby has of a record:
// its form, its Version, and its Body or, in FormEnded, its Life.
func RecordVersion(form RecordForm, version, rest []byte) (Version, error) {
	if form == FormEnded {
		return ParseLives(version, rest)
	}
	return SnapshotVersion(rest)
}

// VersionCovers is Covers for encoded versions; see Version.Append. It decodes them as far as it
// must and needs no memory, since a standby compares the versions of each record that comes. It is
// false if either is malformed.
func VersionCovers(newer, older []byte) bool {
	a, b := wire.NewReader(newer), wire.NewReader(older)
	left, begun, covers := a.ArrayLen(), false, true
	full := left >= maxIncarnations
	var have, first seen
	for n := b.ArrayLen(); n > 0 && covers; n-- {
		want, ok := readSeen(&b)
		if !ok {
			return false
		}
		for left > 0 && (!begun || compare(have.Incarnation, want.Incarnation) < 0) {
			if have, ok = readSeen(&a); !ok {
				return false
			}
			if !begun {
				first = have
			}
			left, begun = left-1, true
		}
		forgotten := full && want.changes == forever && compare(want.Incarnation, first.Incarnation) < 0 // see hasForgotten
		covers = want.changes == 0 || forgotten || have.Incarnation == want.Incarnation && have.changes >= want.changes
	}
	return covers && a.Err() == nil && b.Err() == nil && b.Len() == 0
}

// readSeen reads one incarnation of an encoded version.
func readSeen(r *wire.Reader) (s seen, ok bool) {
	if r.ArrayLen() != 3 {
		return s, false
	}
	s.Number, s.Boot, s.changes = r.Uint(), r.Uint(), r.Uint()
	return s, r.Err() == nil
}
