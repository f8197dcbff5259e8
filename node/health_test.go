package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// deafNetwork is one on which a host can be made to take no streams, while its
// packets come and go.
type deafNetwork struct {
	node.Network
	deaf *atomic.Pointer[string] // its address; nil: none
	self string
}

func (n deafNetwork) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if deaf := n.deaf.Load(); deaf != nil && (*deaf == address || *deaf == n.self) {
		return nil, errors.New("no route for streams")
	}
	return n.Network.Dial(ctx, network, address)
}

// A member that gossips and does not answer is named, and can be put out: by
// one node for all, and for those that join later.
func TestMemberThatDoesNotAnswerIsNamedAndPutOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := simnet.New(simnet.Config{})
		require.NoError(t, err)
		var log logged
		var deaf atomic.Pointer[string]
		var hosts []*simnet.Host
		var nodes []*node.Node
		start := func() *node.Node {
			h := network.Host(netip.AddrFrom4([4]byte{10, 0, 0, byte(len(hosts) + 1)}))
			addr := h.Addr().String() + ":7946"
			cfg := node.Config{Network: deafNetwork{h, &deaf, addr}, Bind: addr, Slot: fmt.Sprintf("n%d", len(hosts)),
				Insecure: true,
				Join:     []string{"10.0.0.1:7946"}, Kinds: []sessionproc.AnyKind{newCounters()}}
			log.of0(nil)(len(hosts), &cfg)
			n, err := node.Start(t.Context(), cfg)
			require.NoError(t, err)
			hosts, nodes = append(hosts, h), append(nodes, n)
			return n
		}
		for range 3 {
			start()
		}
		time.Sleep(time.Second)
		for i := range 60 {
			require.NoError(t, counters.Start(t.Context(), nodes[i%2], fmt.Sprintf("c-%d", i), i))
		}
		out, addr := nodes[2], nodes[2].Addr()
		deaf.Store(&addr)
		network.Reset(hosts[0], hosts[2])
		network.Reset(hosts[1], hosts[2])
		time.Sleep(20 * time.Second)
		require.Len(t, nodes[0].Members(), 3, "it gossips")
		h := nodes[0].Health()
		require.Len(t, h.Silent, 1)
		require.Equal(t, out.Name(), h.Silent[0].Name)
		require.Equal(t, addr, h.Silent[0].Addr)
		require.Contains(t, h.Silent[0].Cause, "no route for streams")
		require.InDelta(t, 20, time.Since(h.Silent[0].Since).Seconds(), 6)
		time.Sleep(time.Minute)
		require.Len(t, log.Lines("gossips and does not answer"), 1, "logged once")

		joiner := start()
		time.Sleep(2 * time.Second)
		waiting := joiner.Health().Waiting
		require.Len(t, waiting, 1)
		require.Equal(t, out.Name(), waiting[0].Name)
		require.Greater(t, waiting[0].Partitions, 100)
		require.Zero(t, joiner.Sessions())

		require.NoError(t, nodes[1].Evict(out.Name()))
		time.Sleep(2 * time.Second)
		late := start() // it has seen nothing of that
		time.Sleep(2 * time.Second)
		for _, n := range []*node.Node{nodes[0], nodes[1], joiner, late} {
			require.Len(t, n.Members(), 4, n.Slot())
			require.Empty(t, n.Health().Silent)
			require.Empty(t, n.Health().Waiting)
		}
		require.NotZero(t, joiner.Sessions())
		require.NoError(t, nodes[0].Evict(out.Name()), "again")
		time.Sleep(15 * time.Second)
		require.Len(t, nodes[0].Members(), 4, "for good, although it gossips on")
		for _, n := range nodes {
			require.NoError(t, n.Close())
		}
		time.Sleep(time.Minute)
	})
}

func TestHealthOfASoundClusterIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newCounters)
		time.Sleep(time.Minute)
		h := c.Node(0).Health()
		require.Empty(t, h.Ready+h.Memory)
		require.Empty(t, h.Lost)
		require.Empty(t, h.Silent)
		require.Empty(t, h.Waiting)
		require.Empty(t, h.Differing)
		require.Zero(t, h.Misplaced+h.GossipScore)
		require.Equal(t, map[string]int{"serving": 3}, h.Members)
		require.InDelta(t, 1, h.Share, 0.3)
		require.NoError(t, c.Node(0).Drain(t.Context()))
		h = c.Node(0).Health()
		require.True(t, h.Progress.Draining)
		require.Contains(t, h.Ready, "draining")
		require.Equal(t, map[string]int{"serving": 2, "draining": 1}, h.Members)
	})
}

// A member that hears that it was put out closes, and its sessions begin anew.
func TestEvictedMemberCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newCounters)
		ids := startOn(t, c, 2, 10)
		out := c.Node(2)
		require.EqualError(t, c.Node(0).Evict("n7/1"), `node: evict: no member is named "n7/1"`)
		require.ErrorContains(t, c.Node(0).Evict(c.Node(0).Name()), "use Leave or Close")
		ended := make(chan error, 1)
		go func() { ended <- node.RunUntil(t.Context(), nil, out, node.Shutdown{}) }()

		begin := time.Now()
		require.NoError(t, c.Node(0).Evict(out.Name()))
		require.Less(t, time.Since(begin), time.Second)
		for _, n := range []*node.Node{c.Node(0), c.Node(1)} {
			require.Len(t, n.Members(), 2)
		}
		require.ErrorContains(t, <-ended, "an operator has put this node out")
		require.ErrorIs(t, out.Ready(), sessionproc.ErrClosed)
		for _, id := range ids {
			_, err := add.Call(t.Context(), c.Node(1), id, 1)
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
			require.NoError(t, counters.Start(t.Context(), c.Node(1), id, 1))
		}
		c.Crash(2)
		c.Restart(2)
		c.Settle()
		require.Len(t, c.Node(0).Members(), 3, "a new boot is welcome")
		require.True(t, strings.HasPrefix(c.Node(2).Name(), "n2/"))
		require.ErrorIs(t, out.Evict("n0/1"), sessionproc.ErrClosed)
	})
}
