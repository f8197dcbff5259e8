package handover

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The bytes of a snapshot count against HandoffMemory while it is on its way, whatever
// comes first: the snapshot, or that it is not to be sent.
func TestHandoffMemoryIsGivenBack(t *testing.T) {
	for name, steps := range map[string][]string{
		"sent":                       {"ready", "done"},
		"taken back before":          {"done", "ready"},
		"taken back twice":           {"ready", "done", "done"},
		"taken back, and ready last": {"done", "done", "ready"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newRig(t)
			h := &handoff{part: 1, session: "s", busy: true}
			d.mu.Lock()
			h.lane = d.laneLocked("x/1")
			h.lane.open++
			put(&d.parts[1].sealed, "s", h)
			d.mu.Unlock()
			for _, step := range steps {
				if step == "ready" {
					d.readyToGo(h, make([]byte, 1<<20), nil)
					continue
				}
				d.mu.Lock()
				d.doneLocked(h)
				d.mu.Unlock()
			}
			require.Zero(t, d.bytes.Load())
		})
	}
}
