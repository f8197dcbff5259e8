package sessionproc

import (
	"errors"
	"fmt"
)

// maxCopies bounds the copies of a session that are in one place and have not met: in
// one snapshot, and waiting for one session, whose handler may run for long. Each
// member of a cluster can have one.
const maxCopies = 64

// readCopies reads the snapshot of a session, as read does. It returns those of all
// copies in it that the session has not met, which may have further ones.
func (s *snapshot) readCopies(b []byte) (others []*snapshot, err error) {
	if err := s.readSession(b); err != nil {
		return nil, err
	}
	for todo := s.Others; len(todo) > 0; todo = todo[1:] {
		if n := 1 + len(others) + len(todo); n > maxCopies {
			return nil, fmt.Errorf("%d copies of one session, the limit is %d", n, maxCopies)
		}
		o := new(snapshot)
		if err := o.readSession(todo[0]); err != nil {
			return nil, err
		}
		others, todo = append(others, o), append(todo, o.Others...)
	}
	return others, nil
}

// readSession reads the snapshot of a session that is all there.
func (s *snapshot) readSession(b []byte) error {
	if err := s.read(b); err != nil {
		return fmt.Errorf("its snapshot: %w", err)
	}
	if s.Large != nil {
		return errReference
	}
	return nil
}

// SnapshotVersion returns the version of the session of a snapshot, when it has met
// the copies in it.
func SnapshotVersion(b []byte) (v Version, err error) {
	var s snapshot
	others, err := s.readCopies(b)
	if err != nil {
		return nil, err
	}
	v, err = ParseVersion(s.Version)
	for _, o := range others {
		one, errOne := ParseVersion(o.Version)
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
	var s snapshot
	if err := s.read(a); err != nil {
		return nil, err
	}
	s.Others = append(s.Others, b)
	joined, err := s.bytes()
	if err == nil && len(joined) > MaxSnapshot {
		err = fmt.Errorf("with another copy of it: %d bytes, the limit is %d (MaxSnapshot)", len(joined), MaxSnapshot)
	}
	if err == nil {
		_, err = new(snapshot).readCopies(joined)
	}
	return joined, err
}

// SnapshotKind returns the name of the kind of the session of a snapshot; "": it cannot be
// read.
func SnapshotKind(b []byte) string {
	var s snapshot
	if s.read(b) != nil {
		return ""
	}
	return s.Kind
}
