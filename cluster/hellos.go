package cluster

import (
	"maps"
	"sync"
	"time"
)

// A Hellos connects a node's own protocol with its membership: it records which
// members the node has met, that is, which have proved on a connection with
// this node to be the boot of the slot that they claim. Each node needs one of
// its own, in Config.Hellos. The zero value is empty. The methods may be called
// concurrently.
type Hellos struct {
	mu     sync.Mutex           // guards what follows
	when   map[string]time.Time // of the last hello, by name
	notice func(name string)    // called by Met; nil before report
}

const (
	// helloFor is how long a hello counts for a member that gossip names only later. It
	// must be shorter than the 30 s for which memberlist remembers that a member has left.
	helloFor = 10 * time.Second

	hellosMost = 1024 // bounds the remembered names; the oldest is dropped first
)

// Met records that this node has met the member with that name.
func (h *Hellos) Met(name string) {
	h.mu.Lock()
	if h.when == nil {
		h.when = map[string]time.Time{}
	}
	h.when[name] = time.Now()
	if len(h.when) > hellosMost {
		h.tidyLocked()
	}
	notice := h.notice
	h.mu.Unlock()
	if notice != nil {
		notice(name)
	}
}

// tidyLocked drops the oldest hello, and all that do not count any more.
func (h *Hellos) tidyLocked() {
	oldest := ""
	for name, when := range h.when {
		if oldest == "" || when.Before(h.when[oldest]) {
			oldest = name
		}
	}
	delete(h.when, oldest)
	maps.DeleteFunc(h.when, func(_ string, when time.Time) bool { return time.Since(when) > helloFor })
}

// report makes Met call f from now on.
func (h *Hellos) report(f func(name string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notice = f
}

// lately reports whether the member was met a short while ago. A nil Hellos has
// met none.
func (h *Hellos) lately(name string) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	when, met := h.when[name]
	return met && time.Since(when) <= helloFor
}

// forget drops the hello of a member that is gone.
func (h *Hellos) forget(name string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.when, name)
}
