package cluster

import (
	"maps"
	"sync"
	"time"
)

// Hellos is how a node's own protocol tells its membership whom it has met: who has
// proved, on a connection with this node, to be the boot of the slot that it says. Give
// each node one of its own, in Config.Hellos; the zero value has met nobody. Its methods
// may be called concurrently.
type Hellos struct {
	mu     sync.Mutex           // guards what follows
	when   map[string]time.Time // by name
	notice func(name string)    // the table's; nil: there is none yet
}

const (
	// helloFor is how long a hello counts for a member of which gossip brings news only
	// later. It has to be shorter than memberlist knows of a member that it has left: 30 s.
	helloFor = 10 * time.Second

	hellosMost = 1024 // of that many names; the oldest gives way
)

// Met says that this node has met a member, by its name.
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

// report has f told of each name from now on.
func (h *Hellos) report(f func(name string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notice = f
}

// lately says whether a member was met a short while ago. Of nil nobody was.
func (h *Hellos) lately(name string) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	when, met := h.when[name]
	return met && time.Since(when) <= helloFor
}

func (h *Hellos) forget(name string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.when, name)
}
