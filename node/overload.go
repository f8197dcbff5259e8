package node

import "sync"

// maxOverloadWaiters bounds the requests for one session that are asked for again.
const maxOverloadWaiters = 64

// overload counts the requests of this node whose owners had no room and hold no line.
type overload struct {
	mu      sync.Mutex
	waiters map[string]int // guarded by mu; by session ID
}

func (o *overload) enter(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiters[id] >= maxOverloadWaiters {
		return false
	}
	if o.waiters == nil {
		o.waiters = map[string]int{}
	}
	o.waiters[id]++
	return true
}

func (o *overload) leave(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiters[id]--; o.waiters[id] == 0 {
		delete(o.waiters, id)
	}
}
