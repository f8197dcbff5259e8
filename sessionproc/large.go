package sessionproc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A session that does not fit into a message gets its new ID in two steps: the owner
// of the new ID is sent a reference to its snapshot, and fetches what it refers to, in
// parts. A release that does not know references refuses it, as what it is to adopt
// needs them.

// savedLarge is such a reference, in place of the state.
type savedLarge struct {
	Node string // who has the snapshot
	Key  []byte // under which it is kept there
	Size int
}

// Large is a snapshot that is kept for the owner of a session's new ID. It serves
// package node.
type Large struct {
	b   []byte
	key string

	mu    sync.Mutex
	given bool // guarded by mu: the last part may have left
	over  bool // guarded by mu: it is not to be given any more
}

// Snapshot returns the bytes, which nobody changes.
func (l *Large) Snapshot() []byte { return l.b }

// Give asks whether the last part may leave. If so, only the new owner decides from then
// on.
func (l *Large) Give() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given = l.given || !l.over
	return !l.over
}

// takeBack reports whether the snapshot was surely given to nobody, and is not any
// more.
func (l *Large) takeBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = !l.given
	return l.over
}

// larges are the snapshots that a table keeps for others.
type larges struct {
	mu sync.Mutex
	m  map[string]*Large // guarded by mu, by key
}

// keepLarge keeps a snapshot until drop is called, and returns the reference to it.
func (t *Table) keepLarge(p *process, b []byte) (l *Large, reference []byte, err error) {
	if t.cfg.FetchLarge == nil {
		return nil, nil, fmt.Errorf("it does not fit into a message: %w", t.tooLarge(len(b)))
	}
	var key [16]byte
	rand.Read(key[:])
	l = &Large{b: b, key: string(key[:])}
	p.mu.Lock()
	i := p.incarnationLocked()
	s := &snapshot{Critical: []string{"Large"}, Kind: p.kind.name, Number: i.Number, Boot: i.Boot,
		Version: p.versionLocked().Append(nil), Large: &savedLarge{t.cfg.Member, key[:], len(b)}}
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

// Large returns the snapshot that is kept under a key; nil: there is none.
func (t *Table) Large(key []byte) *Large {
	t.larges.mu.Lock()
	defer t.larges.mu.Unlock()
	return t.larges.m[string(key)]
}

// maxReference is the size of the largest reference to a snapshot: one with a version.
const maxReference = 8 << 10

// fetch returns the snapshot that is to be adopted: payload itself, or what it refers to.
func (t *Table) fetch(payload []byte, deadline time.Time) ([]byte, error) {
	if len(payload) > maxReference {
		return payload, nil
	}
	var s snapshot
	if err := s.read(payload); err != nil || s.Large == nil {
		return payload, err
	}
	if t.cfg.FetchLarge == nil || s.Large.Size > MaxSnapshot {
		return nil, fmt.Errorf("%w: a session of %d bytes", ErrUnsupported, s.Large.Size)
	}
	if t.kinds[s.Kind] == nil {
		return nil, t.unknownKind(s.Kind) // before its bytes have come for nothing
	}
	if l := t.Large(s.Large.Key); l != nil { // the new ID is this node's too
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

// errReference is why a reference is not restored like a session.
var errReference = errors.New("it is a reference to a session")
