package engine

import "github.com/sessionproc/sessionproc/sessionproc"

// A search is an Entry that only looks for a session.
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

// look finds a session. It returns ErrNotFound if the session certainly does
// not exist. It checks only IDs that are not in the table, since those in the
// table are valid.
func (t *Table) look(part int, id string) (*process, error) {
	p := t.find(part, id)
	if p != nil {
		return p, nil
	}
	if err := sessionproc.ValidID(id); err != nil {
		return nil, err
	}
	if t.cfg.Gate == nil {
		return nil, sessionproc.ErrNotFound
	}
	s := &search{t: t, part: part, id: id}
	if moved := t.cfg.Gate.Enter(part, id, s); moved != nil {
		return nil, moved
	}
	if s.p == nil {
		return nil, sessionproc.ErrNotFound
	}
	return s.p, nil
}

// Has reports whether session id is in the table.
func (t *Table) Has(part int, id string) bool { return t.find(part, id) != nil }

// IDs returns the IDs of a partition's sessions in the table in any phase, and
// how many sessions were ever put there. While that number is the same, no
// session was added.
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

// Born returns how many sessions were ever put into a partition; see IDs.
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

// remove removes a session from its partition.
func (p *process) remove() {
	pt := &p.table().parts[p.part]
	pt.mu.Lock()
	delete(pt.m, p.ID)
	pt.mu.Unlock()
}
