package sessionproc

import (
	"errors"
	"fmt"
)

// maxCopies bounds the copies of a session that are in one place and have not met: in
// one snapshot, and waiting for one session, whose handler may run for long. Each
// member of a cluster can have one.
const maxCopies = 64

// readCopies reads the snapshot of a session and of all copies in it that it has not
// met, which may have further ones. The session itself comes first.
func readCopies(b []byte) (all []*snapshot, err error) {
	for todo := [][]byte{b}; len(todo) > 0; todo = todo[1:] {
		if n := len(all) + len(todo); n > maxCopies {
			return nil, fmt.Errorf("%d copies of one session, the limit is %d", n, maxCopies)
		}
		s, err := readSnapshot(todo[0])
		if err != nil {
			return nil, fmt.Errorf("its snapshot: %w", err)
		}
		if s.Large != nil {
			return nil, errReference
		}
		all, todo = append(all, s), append(todo, s.Others...)
	}
	return all, nil
}

// SnapshotVersion returns the version of the session of a snapshot, when it has met
// the copies in it.
func SnapshotVersion(b []byte) (v Version, err error) {
	all, err := readCopies(b)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		one, errOne := ParseVersion(s.Version)
		v, err = v.Join(one), errors.Join(err, errOne)
	}
	return v, err
}

// JoinSnapshots returns the snapshot of two copies of a session that does not run
// anywhere: the one that has seen what the other has, or both in one. They meet
// where it is restored.
func JoinSnapshots(a, b []byte) ([]byte, error) {
	va, err := SnapshotVersion(a)
	if err != nil {
		return nil, err
	}
	vb, err := SnapshotVersion(b)
	switch {
	case err != nil:
		return nil, err
	case va.Covers(vb):
		return a, nil
	case vb.Covers(va):
		return b, nil
	}
	s, err := readSnapshot(a)
	if err != nil {
		return nil, err
	}
	s.Others = append(s.Others, b)
	joined, err := encode(nil, s)
	if err == nil && len(joined) > MaxSnapshot {
		err = fmt.Errorf("with another copy of it: %d bytes, the limit is %d (MaxSnapshot)", len(joined), MaxSnapshot)
	}
	if err == nil {
		_, err = readCopies(joined)
	}
	return joined, err
}
