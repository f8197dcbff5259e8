package sessionproc

// Gate decides which sessions may be on this node. Package node is one.
type Gate interface {
	// Enter is asked about a session. It returns nil after e.Begin or if it is e.Here,
	// or where the session is to be looked for, as an error. Until Begin has returned
	// the answer does not change.
	Enter(part int, id string, e Entry) error
	// Leave calls remove, which takes a session out of the table that has ended.
	Leave(part int, id string, remove func())
	// Settled reports whether no other copy of a session that is in the table can be on
	// its way to it. If one can, the Gate asks for it.
	Settled(part int, id string) bool
}

// Entry is what waits for a Gate to open.
type Entry interface {
	// Begin does what the entry is for. It returns true if the session is in the
	// table now, and new.
	Begin() bool
	// Here reports whether the session is in the table, so that there is nothing to
	// decide.
	Here() bool
}

// search looks for a session once more.
type search struct {
	t    *Table
	part int
	id   string
	p    *process
}

// Begin implements Entry.
func (s *search) Begin() bool {
	s.Here()
	return false
}

// Here implements Entry.
func (s *search) Here() bool {
	s.p = s.t.find(s.part, s.id)
	return s.p != nil
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
	if t.cfg.Gate == nil {
		return nil, ErrNotFound
	}
	s := &search{t: t, part: part, id: id}
	if moved := t.cfg.Gate.Enter(part, id, s); moved != nil {
		return nil, moved
	}
	if s.p == nil {
		return nil, ErrNotFound
	}
	return s.p, nil
}

// Has reports whether session id is in the table.
func (t *Table) Has(part int, id string) bool { return t.find(part, id) != nil }

// IDs returns the sessions of a partition that are in the table, whatever they do, and
// how many have ever been put there: while that number is the same, none has come.
func (t *Table) IDs(part int) (ids []string, born uint64) {
	pt := &t.parts[part]
	pt.mu.RLock()
	defer pt.mu.RUnlock()
	ids = make([]string, 0, len(pt.m))
	for id := range pt.m {
		ids = append(ids, id)
	}
	return ids, pt.born
}

// Born returns how many sessions have ever been put into a partition; see IDs.
func (t *Table) Born(part int) uint64 {
	pt := &t.parts[part]
	pt.mu.RLock()
	defer pt.mu.RUnlock()
	return pt.born
}

// Count returns how many sessions of a partition are in the table, whatever
// they do.
func (t *Table) Count(part int) int {
	pt := &t.parts[part]
	pt.mu.RLock()
	defer pt.mu.RUnlock()
	return len(pt.m)
}
