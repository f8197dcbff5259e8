package engine

// Unanswered are answers of a session that has left the table with its target lost (Table.Shelve). They tell
// of changes that are in its snapshot, and wait until that is durable. Each is given once: to Give, or to
// Table.Await.
type Unanswered struct{ all []held }

// None reports whether there are no answers.
func (u Unanswered) None() bool { return len(u.all) == 0 }

// Join returns the answers of both.
func (u Unanswered) Join(o Unanswered) Unanswered { return Unanswered{append(u.all, o.all...)} }

// Give gives the answers. With an undurable they say that the changes may not survive a crash, and why. It
// must be called without a lock that a start of a session may take.
func (u Unanswered) Give(undurable error) {
	if undurable != nil {
		undurable = &errUndurable{undurable}
	}
	fail(u.all, undurable)
}

// Await has answers wait until session id, which has seen the changes that they tell of or is about to, has
// made a record here that is durable. It returns those that cannot wait here.
func (t *Table) Await(part int, id string, u Unanswered) (left Unanswered) {
	p := t.findLocked(part, id)
	if p == nil {
		return u
	}
	if !p.Kind.Kept || p.phase >= phaseEnding {
		p.mu.Unlock()
		return u
	}
	p.madeLocked()
	start := p.wakeForRecordLocked()
	for _, a := range u.all {
		a.after = p.ext.records.made
		p.waitLocked(a)
	}
	p.mu.Unlock()
	p.runIf(start)
	return left
}
