package handover

import (
	"slices"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

// recordRoom is an upper bound of the header of most records, in bytes.
const recordRoom = 256

// laneLocked returns the lane to a member. It starts one if there is none.
func (d *Driver) laneLocked(to string) *lane {
	l := d.lanes[to]
	if l == nil {
		l = &lane{d: d, to: to, wake: make(chan struct{}, 1), window: d.leastWindow()}
		d.lanes[to] = l
		d.life.Go(l.run)
	}
	return l
}

// leastWindow returns the smallest window. It leaves a quarter of
// HandoffConcurrency to sessions that a request waits for.
func (d *Driver) leastWindow() int { return d.env.HandoffConcurrency - d.env.HandoffConcurrency/4 }

// maxWindow bounds the window when time is short. Each session is away for as
// long as the member takes for all sessions before it.
const maxWindow = 1024

// doneLocked records an answer and adjusts the window. About once in the time
// of an answer, as many sessions are answered as the window allows. If time was
// short and sessions had to wait for room since the last adjustment, the window
// doubles: the longer answers take, as on a busy machine, the more sessions
// must be on their way for the same speed. Otherwise it shrinks by a quarter.
func (l *lane) doneLocked() {
	if l.answered++; l.answered < l.window {
		return
	}
	if l.short {
		l.window = min(2*l.window, max(maxWindow, l.d.env.HandoffConcurrency))
	} else {
		l.window = max(l.window-l.window/4, l.d.leastWindow())
	}
	l.answered, l.short = 0, false
}

// moved returns the error for requests whose session is on its way to the
// member. All of them share one value until the address changes.
func (l *lane) moved() *failure.Moved {
	addr := l.d.Addr(l.to)
	m := l.movedErr.Load()
	if m == nil || m.Addr != addr {
		m = &failure.Moved{Addr: addr}
		l.movedErr.Store(m)
	}
	return m
}

// add queues a session whose snapshot is made. A session that a request waits
// for goes first. add wakes the lane for the first session, so that it begins
// to gather others, and again when there is no reason to wait longer.
func (l *lane) add(h *handoff) {
	l.mu.Lock()
	if h.wanted {
		l.ready = slices.Insert(l.ready, 0, h)
		l.urgent = true
	} else {
		l.ready = append(l.ready, h)
	}
	l.bytes += recordRoom + len(h.snapshot)
	wake := len(l.ready) == 1 || l.mayGoLocked()
	l.mu.Unlock()
	if wake {
		lifetime.Signal(l.wake)
	}
}

// mayGoLocked reports whether the lane should not wait for further sessions.
func (l *lane) mayGoLocked() bool {
	return l.urgent || l.bytes >= l.d.bound.chunk() || l.soon.Load() <= 0
}
