// Package lifetime bounds the goroutines of something that ends.
package lifetime

import (
	"context"
	"sync"
)

// A Lifetime is the time during which something works: a ctx and the goroutines that
// work under it. After End no goroutine is added, so Wait waits for all of them.
// Its methods are safe for concurrent use.
type Lifetime struct {
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu   sync.Mutex // no other lock is taken under it
	over bool       // guarded by mu
}

// New returns a lifetime that begins now. Its ctx ends with parent, too.
func New(parent context.Context) *Lifetime {
	l := new(Lifetime)
	l.ctx, l.cancel = context.WithCancel(parent)
	return l
}

// Context returns the ctx, which ends with the lifetime.
func (l *Lifetime) Context() context.Context { return l.ctx }

// Go runs f on a goroutine. It returns false, and does not run f, after End.
func (l *Lifetime) Go(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.all.Go(f)
	return true
}

// End ends the ctx and lets no further goroutine begin. It does not wait for those that
// run, so one of them may call it.
func (l *Lifetime) End() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.cancel()
}

// Wait waits until all goroutines have returned. It must be called after End.
func (l *Lifetime) Wait() { l.all.Wait() }
