package engine

import "sync"

// tasks are goroutines of a table that belong to no session.
type tasks struct {
	mu   sync.Mutex
	over bool           // guarded by mu
	wait sync.WaitGroup // Add under mu, before over
}

// background runs f in a goroutine that Close waits for; false: the table is
// closed.
func (t *Table) background(f func()) bool {
	t.tasks.mu.Lock()
	defer t.tasks.mu.Unlock()
	if t.tasks.over {
		return false
	}
	t.tasks.wait.Go(f)
	return true
}

// close waits for all of them; none begins any more.
func (ts *tasks) close() {
	ts.mu.Lock()
	ts.over = true
	ts.mu.Unlock()
	ts.wait.Wait()
}
