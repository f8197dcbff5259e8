package core

// A Pooled is a waiting that its token keeps in a pool. Tokens are package variables, so the pool
// may return a message that another host has used. In tests that host may live in another
// synctest bubble, and the message's channel and timer must not leave the bubble in which they
// were made. So a message belongs to the first host that it served.
//
// A pool for each host would not need that, but it does not know a call early enough: which host serves
// a message is known when it has been routed, if any host of this process does at all. So each call would
// take two things from two pools, a message to route and a waiting to serve it with, and would copy its
// request and reply once more. Tried with one pool for each host and method, this costs as many
// allocations, and 5 ns of 650 for a local call with a plain value, 25 of 806 with 64 callers (medians of
// 14 rounds in turns, p 0.2 and 0.5). It has more code than what is here.
type Pooled struct {
	Waiting
	home  *Host // the host that m serves; nil before its first exchange
	stale bool  // m was asked to serve another one
}

// Serves reports whether m may serve on. If not, the caller must make a new message, and m leaves the
// pool for good: otherwise a program that has moved on to a second host would keep finding it.
func (m *Pooled) Serves(on *Host) bool {
	if m.home == nil {
		m.home, m.Done = on, make(chan struct{}, 2)
	}
	if m.home != on {
		m.stale = true
	}
	return m.home == on
}

// Reusable reports whether m can return to the pool: no other goroutine can still hold it, and it
// belongs to the host in use.
func (m *Pooled) Reusable() bool { return !m.stale && m.Waiting.reusable() }
