package sessionproc

// Gate decides which sessions may be on this node. Package node is one.
type Gate interface {
	// Enter is asked about a session that is not in the table. It returns nil
	// after begin, or where the session is to be looked for, as an error. Until
	// begin has returned the answer does not change. begin returns true if the
	// session is in the table now, and new.
	Enter(part int, id string, begin func() bool) error
	// Leave calls remove, which takes a session out of the table that has ended.
	Leave(part int, id string, remove func())
}

// look finds a session, or makes sure that it is not there: ErrNotFound. Only
// IDs that are not in the table are checked.
func (t *Table) look(part int, id string) (*process, error) {
	p := t.find(part, id)
	if p != nil {
		return p, nil
	}
	if err := ValidID(id); err != nil {
		return nil, err
	}
	if t.cfg.Gate != nil {
		if moved := t.cfg.Gate.Enter(part, id, func() bool {
			p = t.find(part, id)
			return false
		}); moved != nil {
			return nil, moved
		}
	}
	if p == nil {
		return nil, ErrNotFound
	}
	return p, nil
}

// Has reports whether session id is in the table.
func (t *Table) Has(part int, id string) bool { return t.find(part, id) != nil }

// Count returns how many sessions of a partition are in the table, whatever
// they do.
func (t *Table) Count(part int) int {
	pt := &t.parts[part]
	pt.mu.RLock()
	defer pt.mu.RUnlock()
	return len(pt.m)
}
