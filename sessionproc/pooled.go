package sessionproc

// pooled is a waiting that its token keeps in a pool. Tokens are package variables, so
// the pool may give a message that another table has used; its channel and timer may
// not leave the synctest bubble they were made in.
type pooled struct {
	waiting
	home  *Table // which it serves; nil: none yet
	stale bool   // it was needed for another table
}

// at reports whether m serves t. If not, t needs a message of its own.
func (m *pooled) at(t *Table) bool {
	if m.home == nil {
		m.home, m.done = t, make(chan struct{}, 2)
	}
	if m.home != t {
		m.stale = true
	}
	return m.home == t
}

// reusable reports whether m can go into the pool: nobody but the caller can still
// hold it, and it serves the table that is in use.
func (m *pooled) reusable() bool { return !m.stale && m.waiting.reusable() }
