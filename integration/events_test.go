package integration_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// events carries news between handlers, which run in this process, and tests.
var events = hub{told: map[string]chan struct{}{}, gates: map[string]chan struct{}{}}

type hub struct {
	mu    sync.Mutex               // guards what follows
	told  map[string]chan struct{} // by session and event; one value for each time
	gates map[string]chan struct{} // by session
}

func (h *hub) news(id, what string) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.told[id+" "+what]
	if !ok {
		c = make(chan struct{}, 1<<12)
		h.told[id+" "+what] = c
	}
	return c
}

// tell says that something has happened in session id.
func (h *hub) tell(id, what string) { h.news(id, what) <- struct{}{} }

// await waits until it has been told, once more than it was awaited before.
func (h *hub) await(t testing.TB, id, what string) {
	t.Helper()
	select {
	case <-h.news(id, what):
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nothing was heard of: "+what)
	}
}

// times is how often it has been told and not awaited.
func (h *hub) times(id, what string) int { return len(h.news(id, what)) }

// gate is closed by open.
func (h *hub) gate(id string) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.gates[id]
	if !ok {
		c = make(chan struct{})
		h.gates[id] = c
	}
	return c
}

// open lets every handler go on that waits at the gate of id. It may be called
// again.
func (h *hub) open(id string) {
	gate := h.gate(id)
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-gate:
	default:
		close(gate)
	}
}
