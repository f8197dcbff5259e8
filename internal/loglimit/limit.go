// Package loglimit keeps lines that repeat from flooding a log.
package loglimit

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Limit admits some lines of each key in a window, and counts the others. Any number of goroutines may use one at the
// same time.
type Limit struct {
	lines, keys int
	window      time.Duration
	suppressed  atomic.Int64

	mu    sync.Mutex
	known map[string]*repeated // guarded by mu
}

// repeated counts the lines of a key.
type repeated struct {
	since      time.Time
	lines      int
	suppressed int
}

// New returns a Limit that admits so many lines of a key in a window. So many keys have a count of their own; all others
// share one, until the windows of some are over.
func New(lines int, window time.Duration, keys int) *Limit {
	return &Limit{lines: lines, keys: keys, window: window, known: map[string]*repeated{}}
}

// Admit reports whether a line is to be written, and how many were suppressed in its key's last window.
func (l *Limit) Admit(key string, now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.countLocked(key, now)
	if now.Sub(c.since) >= l.window {
		suppressed = c.suppressed
		*c = repeated{since: now}
	}
	if c.lines >= l.lines {
		c.suppressed++
		l.suppressed.Add(1)
		return 0, false
	}
	c.lines++
	return suppressed, true
}

// countLocked returns the count of a key, or the one that keys beyond the bound share.
func (l *Limit) countLocked(key string, now time.Time) *repeated {
	if c := l.known[key]; c != nil {
		return c
	}
	if len(l.known) >= l.keys {
		l.forgetLocked(now)
	}
	if len(l.known) >= l.keys {
		key = ""
	}
	c := l.known[key]
	if c == nil {
		c = &repeated{since: now}
		l.known[key] = c
	}
	return c
}

// forgetLocked forgets the keys whose window is over. What was suppressed of them is in the total.
func (l *Limit) forgetLocked(now time.Time) {
	for key, c := range l.known {
		if now.Sub(c.since) >= l.window {
			delete(l.known, key)
		}
	}
}

// Suppressed returns how many lines were not admitted.
func (l *Limit) Suppressed() int64 { return l.suppressed.Load() }

// Keys returns how many keys have a count.
func (l *Limit) Keys() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.known)
}
