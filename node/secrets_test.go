package node

import (
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/endpoint"
)

// Connections made with a secret that is replaced are made anew, on both sides.
func TestSetSecretsReplacesConnections(t *testing.T) {
	older, newer := NewSecret(), NewSecret()
	cfg := func(slot string) Config { return Config{Slot: slot, Secret: older, CallTimeout: time.Second} }
	a := begin(t, cfg("a"))
	nodes := []*Node{a, begin(t, cfg("b"), a)}
	proved := func(n *Node) map[uint32]bool {
		var mu sync.Mutex
		ids := map[uint32]bool{}
		n.transport.Retire(func(c net.Conn) bool { // it only looks
			own, peer, _ := endpoint.Proved(c)
			mu.Lock()
			defer mu.Unlock()
			ids[own], ids[peer] = true, true
			return false
		}, 0)
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(ids)
	}
	id := func(n *Node) uint32 { return n.endpoint.KeyIDs()[0] }
	old := id(a)
	for _, n := range nodes {
		require.Contains(t, proved(n), old)
	}
	for _, step := range [][]string{{older, newer}, {newer, older}, {newer}} {
		for _, n := range nodes {
			require.Eventually(t, func() bool { return n.SetSecrets(step[0], step[1:]...) == nil }, 10*time.Second,
				20*time.Millisecond)
		}
	}
	require.NotEqual(t, old, id(a))
	for _, n := range nodes {
		require.Eventually(t, func() bool { return !proved(n)[old] }, 30*time.Second, 20*time.Millisecond)
		_, err := n.Started(t.Context(), idOf(t, nodes[0]))
		require.NoError(t, err)
		_, err = n.Started(t.Context(), idOf(t, nodes[1]))
		require.NoError(t, err)
	}
	require.Equal(t, map[uint32]bool{id(a): true}, proved(a))
}
