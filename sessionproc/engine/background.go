package engine

import "sync"

// goroutines are those of a table that belong to no session.
type goroutines struct {
	mu   sync.Mutex
	over bool           // guarded by mu
	wait sync.WaitGroup // Add under mu, before over
}

// background runs f in a goroutine that Close waits for; false: the table is
// closed.
func (t *Table) background(f func()) bool {
	t.goroutines.mu.Lock()
	defer t.goroutines.mu.Unlock()
	if t.goroutines.over {
		return false
	}
	t.goroutines.wait.Go(f)
	return true
}

// close waits for all of them; none begins any more.
func (g *goroutines) close() {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	g.wait.Wait()
}
