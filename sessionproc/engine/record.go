package engine

import (
	"fmt"
	"slices"
)

// encodeRecord makes the record of a session that runs, in its goroutine: no handler changes the state
// meanwhile. Code of the kind that runs for that is contained.
func (p *process) encodeRecord(r *Record) (err error) {
	if p.Kind.Codes {
		return p.table().contained(p.ID, p.Kind, itsEncoding, func() error { return p.fillRecord(r) })
	}
	defer p.table().recovered(p.ID, p.Kind, itsEncoding, &err)
	return p.fillRecord(r)
}

func (p *process) fillRecord(r *Record) error {
	s, unknown := p.snapshot(false)
	if s.Renewed == nil {
		state, err := p.stateForRecord(r, unknown)
		if err != nil {
			return fmt.Errorf("kind %q: its state: %w", p.Kind.Name, err)
		}
		s.State = state
		if err := s.saveUnmet(); err != nil {
			return fmt.Errorf("kind %q: %w", p.Kind.Name, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Renewed == nil {
		if err := p.fillLocked(&s, true); err != nil {
			return fmt.Errorf("kind %q: %w", p.Kind.Name, err)
		}
		s.Subscriptions = p.savedOffsetsLocked()
		s.Trials, s.Quarantined = p.trialsLocked(), p.quarantinedLocked()
	}
	p.recordedLocked(r)
	r.Version = p.appendVersionLocked(r.Version[:0])
	if s.Version = r.Version; p.ext.past != nil {
		s.Life = p.versionLocked().AppendLife(nil)
	}
	if s.unmet != nil {
		s.Version = slices.Clone(r.Version)
		v := p.versionLocked()
		for _, o := range s.unmet {
			v = v.Merge(o.allVersionLocked())
		}
		r.Version = v.Append(r.Version[:0])
	}
	b, err := s.append(emptied(r.Body))
	if err == nil && len(b) > MaxSnapshot {
		err = fmt.Errorf("kind %q: %d bytes, the limit is %d (MaxSnapshot)", p.Kind.Name, len(b), MaxSnapshot)
	}
	if err != nil {
		return err
	}
	r.Body = b
	p.noteRecordedLocked()
	return nil
}

// stateForRecord encodes the state. What was kept for a restart serves if nothing has changed since;
// what is encoded here serves for the next restart.
func (p *process) stateForRecord(r *Record, unknown []byte) (b []byte, err error) {
	if !p.keeps {
		r.state, err = p.encodeState(emptied(r.state), unknown)
		return r.state, err
	}
	again := p.ext.restart
	if again.saved == nil || again.savedAt != p.changes {
		if again.saved, err = p.encodeState(nil, unknown); err != nil {
			again.saved = nil
			return nil, err
		}
		if again.saved == nil {
			again.saved = []byte{}
		}
		again.savedAt = p.changes
	}
	return again.saved, nil
}

// emptied is b without its content. It is not nil.
func emptied(b []byte) []byte {
	if b == nil {
		return make([]byte, 0, smallSnapshot)
	}
	return b[:0]
}

// appendVersionLocked appends the encoding of the session's version. That of a session which has always
// been here needs no memory.
func (p *process) appendVersionLocked(b []byte) []byte {
	if p.ext.past != nil {
		return p.versionLocked().Append(b)
	}
	var one [1]seen
	one[0] = p.seenLocked()
	return Version(one[:]).Append(b)
}
