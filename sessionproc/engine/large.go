package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// This file renews sessions that do not fit into a message. The owner of the new ID gets a
// reference in place of the snapshot, and fetches the snapshot in parts. The reference is a
// critical field, so that a release without it refuses the session.

// A Large is a snapshot that is kept for the owner of a session's new ID. It serves package node.
// given and over exclude each other: either the last part was sent, and only the new owner decides
// about the session, or the snapshot was taken back, and the session keeps its ID.
type Large struct {
	b   []byte
	key string

	mu    sync.Mutex
	given bool // guarded by mu: the last part may have been sent
	over  bool // guarded by mu: the snapshot was taken back
}

// Snapshot returns the encoded snapshot, which must not be changed.
func (l *Large) Snapshot() []byte { return l.b }

// Give reports whether the last part may be sent. If so, only the new owner decides from then on.
func (l *Large) Give() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given = l.given || !l.over
	return !l.over
}

// takeBack reports whether the last part was certainly not sent, and then keeps it from being sent.
func (l *Large) takeBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = !l.given
	return l.over
}

// larges are the snapshots that a table keeps for other members.
type larges struct {
	mu sync.Mutex
	m  map[string]*Large // guarded by mu, by key
}

// keepLarge keeps a snapshot until dropLarge, and returns the encoded reference to it. The key is
// random, since whoever knows it can fetch the snapshot.
func (t *Table) keepLarge(p *process, b []byte) (l *Large, reference []byte, err error) {
	if t.cfg.FetchLarge == nil {
		return nil, nil, fmt.Errorf("it does not fit into a message: %w", t.tooLarge(len(b)))
	}
	var key [16]byte
	rand.Read(key[:])
	l = &Large{b: b, key: string(key[:])}
	p.mu.Lock()
	i := p.incarnationLocked()
	s := &snapshot{Critical: []string{"Large"}, Kind: p.Kind.Name, Number: i.Number, Boot: i.Boot,
		Large: &savedLarge{t.cfg.Member, key[:], len(b)}}
	s.setVersion(p.versionLocked())
	s.Renewing = p.ext.rarely().renewing.saved()
	p.mu.Unlock()
	if reference, err = s.bytes(); err != nil {
		return nil, nil, err
	}
	t.larges.mu.Lock()
	defer t.larges.mu.Unlock()
	put(&t.larges.m, l.key, l)
	return l, reference, nil
}

func (t *Table) dropLarge(l *Large) {
	t.larges.mu.Lock()
	defer t.larges.mu.Unlock()
	delete(t.larges.m, l.key)
}

// Large returns the snapshot that is kept under a key, or nil.
func (t *Table) Large(key []byte) *Large {
	t.larges.mu.Lock()
	defer t.larges.mu.Unlock()
	return t.larges.m[string(key)]
}

// maxReference is the size of the largest reference to a snapshot, in bytes; a version takes most
// of it.
const maxReference = 8 << 10

// fetch returns the snapshot to adopt: payload itself, or the snapshot to which it refers.
func (t *Table) fetch(payload []byte, deadline time.Time) ([]byte, error) {
	if len(payload) > maxReference {
		return payload, nil
	}
	var s snapshot
	if err := s.read(payload); err != nil || s.Large == nil {
		return payload, err
	}
	if t.cfg.FetchLarge == nil || s.Large.Size > MaxSnapshot {
		return nil, fmt.Errorf("%w: a session of %d bytes", sessionproc.ErrUnsupported, s.Large.Size)
	}
	if t.kinds[s.Kind] == nil {
		return nil, t.unknownKind(s.Kind) // before the snapshot is fetched in vain
	}
	if l := t.Large(s.Large.Key); l != nil { // this node owns the new ID too
		if !l.Give() {
			return nil, errGivenUp
		}
		return l.b, nil
	}
	if deadline.IsZero() {
		deadline = time.Now().Add(t.cfg.CallTimeout)
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	return t.cfg.FetchLarge(ctx, s.Large.Node, s.Large.Key, s.Large.Size)
}

// errReference is the error for a reference where a session is expected.
var errReference = errors.New("it is a reference to a session")
