package engine

import (
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Outline returns what a member needs that has another copy of session id, which is sealed
// and cannot be encoded, to decide which of the two goes on: a snapshot without what the
// session holds. Every member refuses to have it; see SnapshotRival. It serves package node.
func (t *Table) Outline(part int, id string) ([]byte, error) {
	p := t.findLocked(part, id)
	if p == nil {
		return nil, sessionproc.ErrNotFound
	}
	defer p.mu.Unlock()
	if p.phase != phaseSealed {
		return nil, ErrUnsealed
	}
	i := p.incarnationLocked()
	s := snapshot{Critical: []string{"Outline"}, Kind: p.Kind.Name, Schema: p.Kind.Settings.Schema, Number: i.Number,
		Boot: i.Boot, Outline: true, Idle: time.Duration(t.clock.now.Load() - p.last.Load())}
	s.setVersion(p.allVersionLocked())
	return s.bytes()
}

// errOutline is why nobody has a session of which there is but an outline.
var errOutline = errors.New("its state cannot be encoded by the node that has it")
