package sessionproc

// A pooled is a waiting that its token keeps in a pool. Tokens are package variables, so the pool
// may return a message that another table has used. In tests that table may live in another
// synctest bubble, and the message's channel and timer must not leave the bubble in which they
// were made. So a message belongs to the first table that it served.
type pooled struct {
	waiting
	home  *Table // the table that m serves; nil before its first exchange
	stale bool   // m was asked to serve another table
}

// at reports whether m may serve t. If not, the caller must make a new message, and m leaves the
// pool for good: otherwise a program that has moved on to a second table would keep finding it.
func (m *pooled) at(t *Table) bool {
	if m.home == nil {
		m.home, m.done = t, make(chan struct{}, 2)
	}
	if m.home != t {
		m.stale = true
	}
	return m.home == t
}

// reusable reports whether m can return to the pool: no other goroutine can still hold it, and it
// belongs to the table in use.
func (m *pooled) reusable() bool { return !m.stale && m.waiting.reusable() }
