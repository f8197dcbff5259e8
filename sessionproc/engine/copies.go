package engine

import (
	"errors"
	"fmt"
	"slices"
)

// maxCopies bounds the copies of one session that wait in one place to be merged: in a snapshot,
// or before a session whose handler runs for long. Each member of a cluster can have a copy, so
// there may be one for each of 64 members; a sender that makes up more is refused.
const maxCopies = 64

// readCopies is read, and returns in addition the snapshots of all copies in it that are not
// merged yet, and of the copies in these.
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

// readSession reads a snapshot that must be a session, not a reference to one.
func (s *snapshot) readSession(b []byte) error {
	if err := s.read(b); err != nil {
		return fmt.Errorf("its snapshot: %w", err)
	}
	if s.Large != nil {
		return errReference
	}
	return nil
}

// SnapshotVersion returns the version that the session of a snapshot has once it has met the
// copies in it.
func SnapshotVersion(b []byte) (v Version, err error) {
	var s snapshot
	others, err := s.readCopies(b)
	if err != nil {
		return nil, err
	}
	v, err = ParseLives(s.Version, s.Life)
	for _, o := range others {
		one, errOne := ParseLives(o.Version, o.Life)
		v, err = v.Merge(one), errors.Join(err, errOne)
	}
	return v, err
}

// JoinSnapshots joins the snapshots of two copies of a session that runs nowhere. If one copy has
// seen all changes of the other, it returns the snapshot of that copy. Otherwise it returns a
// snapshot that holds both; they meet where it is restored.
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

// SnapshotKind returns the name of the kind of a snapshot's session, or "" if the snapshot cannot
// be read.
func SnapshotKind(b []byte) string {
	var s snapshot
	if s.read(b) != nil {
		return ""
	}
	return s.Kind
}

// unmetLocked returns the copies that a quarantined session does not meet, for a snapshot of it. Any other
// session meets its copies before it is encoded. With leaves the session moves: where it arrives nobody
// knows that a copy was left over, so that begins its new incarnation here.
func (p *process) unmetLocked(leaves bool) []*process {
	if p.ext.others == nil || !p.quarantinedLocked() {
		return nil
	}
	for _, o := range p.ext.others {
		if leaves && o.ext.leftOver {
			o.renewLocked()
		}
	}
	return slices.Clone(p.ext.others)
}

// saveUnmet encodes the copies that wait for the session of a snapshot.
func (s *snapshot) saveUnmet() error {
	for _, o := range s.unmet {
		b, err := o.save()
		if err != nil {
			return fmt.Errorf("a copy of it: %w", err)
		}
		s.Others = append(s.Others, b)
	}
	return nil
}
