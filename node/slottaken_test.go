package node_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
)

func (h *haunted) tryAs(slot string) (*node.Node, error) {
	cfg := h.config(len(h.hosts))
	cfg.Slot = slot
	n, err := node.Start(h.t.Context(), cfg)
	if err == nil {
		h.t.Cleanup(func() { _ = n.Close() })
	}
	return n, err
}

// A replica that is started anew at another address, while the others still see its
// former self, which has died, starts as soon as they do not.
func TestSlotOfADeadNodeIsTakenInTime(t *testing.T) {
	shorttest.Skip(t)
	for name, dies := range map[string]func(h *haunted){
		"its program":        func(h *haunted) { h.hosts[2].Crash() },
		"its machine":        func(h *haunted) { h.hosts[2].PowerOff() },
		"in the eyes of all": func(h *haunted) { h.hosts[2].Stall() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := haunt(t, 3)
				time.Sleep(2 * time.Second)
				dies(h)
				begun := time.Now()
				n, err := h.tryAs("n2")
				require.NoError(t, err)
				require.Less(t, time.Since(begun), 8*time.Second)
				require.NoError(t, n.Ready())
				time.Sleep(2 * time.Second)
				require.Len(t, h.nodes[0].Members(), 3)
				h.hosts[2].Crash()
			})
		})
	}
}

// One that lives is not waited for, and one that nobody can reach is, for JoinTimeout.
func TestSlotOfALivingNodeIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := haunt(t, 3)
		time.Sleep(2 * time.Second)
		begun := time.Now()
		_, err := h.tryAs("n2")
		require.ErrorIs(t, err, node.ErrSlotInUse)
		require.ErrorContains(t, err, "10.0.0.3:7946")
		require.Less(t, time.Since(begun), time.Second)

		apart := [2]string{hauntedAddr(2), hauntedAddr(len(h.hosts))}
		h.apart.Store(&apart)
		begun = time.Now()
		_, err = h.tryAs("n2")
		require.ErrorIs(t, err, node.ErrSlotInUse)
		require.ErrorContains(t, err, "gossips and does not answer")
		require.InDelta(t, 10, time.Since(begun).Seconds(), 1)
		time.Sleep(5 * time.Second)
		h.undisturbed(0, 1, 2)
	})
}
