package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A wiretap keeps the packets of gossip that a node sends.
type wiretap struct {
	node.Network
	mu      sync.Mutex // guards what follows
	packets [][]byte
	enough  bool
}

type tappedConn struct {
	net.PacketConn
	tap *wiretap
}

func (w *wiretap) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	c, err := w.Network.ListenPacket(ctx, network, address)
	return tappedConn{c, w}, err
}

func (c tappedConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.tap.mu.Lock()
	if !c.tap.enough {
		c.tap.packets = append(c.tap.packets, append([]byte(nil), b...))
	}
	c.tap.mu.Unlock()
	return c.PacketConn.WriteTo(b, to)
}

// apartNetwork is one on which two hosts have no streams with each other, while their
// packets come and go.
type apartNetwork struct {
	node.Network
	apart *atomic.Pointer[[2]string] // their addresses; nil: none
	self  string
}

func (n apartNetwork) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if two := n.apart.Load(); two != nil && (*two == [2]string{n.self, address} || *two == [2]string{address, n.self}) {
		return nil, errors.New("no route for streams")
	}
	return n.Network.Dial(ctx, network, address)
}

// A haunted cluster has nodes at 10.0.0.1 and so on, whose gossip is overheard.
type haunted struct {
	t       *testing.T
	network *simnet.Network
	secret  string
	apart   atomic.Pointer[[2]string] // the addresses of two nodes that have no streams with each other
	taps    []*wiretap
	hosts   []*simnet.Host
	nodes   []*node.Node
}

// haunt starts a haunted cluster of so many nodes.
func haunt(t *testing.T, nodes int) *haunted {
	network, err := simnet.New(simnet.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { time.Sleep(time.Minute) }) // for gossip's goroutines
	h := &haunted{t: t, network: network, secret: node.NewSecret()}
	for range nodes {
		h.add()
	}
	return h
}

func hauntedAddr(i int) string { return fmt.Sprintf("10.0.0.%d:7946", i+1) }

// config is that of node i, the next one.
func (h *haunted) config(i int) node.Config {
	host := h.network.Host(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
	tap := &wiretap{Network: apartNetwork{host, &h.apart, hauntedAddr(i)}}
	h.taps, h.hosts = append(h.taps, tap), append(h.hosts, host)
	cfg := node.Config{Network: tap, Bind: hauntedAddr(i), Slot: fmt.Sprintf("n%d", i), Secret: h.secret,
		Kinds: []sessionproc.AnyKind{newCounters()}}
	if i > 0 {
		cfg.Join = []string{hauntedAddr(0)}
	}
	return cfg
}

func (h *haunted) add(set ...func(*node.Config)) *node.Node {
	cfg := h.config(len(h.hosts))
	for _, f := range set {
		f(&cfg)
	}
	n := startNode(h.t, cfg)
	h.nodes = append(h.nodes, n)
	return n
}

// leave has a node leave, whose good-byes nobody overhears.
func (h *haunted) leave(i int) {
	h.taps[i].mu.Lock()
	h.taps[i].enough = true
	h.taps[i].mu.Unlock()
	require.NoError(h.t, h.nodes[i].Leave(h.t.Context()))
}

// replay sends everything that was overheard of some nodes to others, as a stranger can.
func (h *haunted) replay(of, to []int) {
	stranger := h.network.Host(netip.AddrFrom4([4]byte{10, 9, 9, 9}))
	c, err := stranger.ListenPacket(h.t.Context(), "udp", "10.9.9.9:0")
	require.NoError(h.t, err)
	defer c.Close()
	for _, i := range of {
		h.taps[i].mu.Lock()
		packets := h.taps[i].packets
		h.taps[i].mu.Unlock()
		for k, p := range packets {
			for _, j := range to {
				_, err := c.WriteTo(p, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(hauntedAddr(j))))
				require.NoError(h.t, err)
			}
			if k%50 == 49 {
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	time.Sleep(10 * time.Millisecond)
}

// ghosts has some nodes join and leave.
func (h *haunted) ghosts(count int) (which []int) {
	for range count {
		which = append(which, len(h.nodes))
		h.add()
	}
	time.Sleep(2 * time.Second)
	for _, i := range which {
		h.leave(i)
	}
	return which
}

// undisturbed has sessions started for some seconds by the nodes that are there, and
// none of them may notice anything.
func (h *haunted) undisturbed(alive ...int) {
	names := map[string]bool{}
	for _, i := range alive {
		names[h.nodes[i].Name()] = true
	}
	for k := range 400 {
		n := h.nodes[alive[k%len(alive)]]
		for _, m := range n.Members() {
			require.True(h.t, names[m.Name()], "%s is a ghost", m.Name())
		}
		begun := time.Now()
		require.NoError(h.t, counters.Start(h.t.Context(), n, fmt.Sprintf("c-%d-%d", time.Now().UnixNano(), k), 0))
		require.Less(h.t, time.Since(begun), 100*time.Millisecond)
		time.Sleep(10 * time.Millisecond)
	}
}

// Packets of members that have left, sent again when memberlist has forgotten these,
// raise nobody: no session is placed on a ghost, and none waits for one.
func TestReplayedPacketsRaiseNobody(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		h := haunt(t, 3)
		ghosts := h.ghosts(4)
		time.Sleep(time.Minute)
		h.replay(ghosts, []int{0, 1, 2})
		h.undisturbed(0, 1, 2)
	})
}

// A node that joins while ghosts are about is no island, and one that begins a cluster
// among ghosts does begin it.
func TestNodeStartedAmongGhostsJoinsOrBegins(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		h := haunt(t, 2)
		ghosts := h.ghosts(3)
		time.Sleep(time.Minute)
		haunting := make(chan struct{})
		var over sync.WaitGroup
		next := len(h.hosts)
		stop := sync.OnceFunc(func() {
			close(haunting)
			over.Wait()
		})
		t.Cleanup(stop)
		over.Go(func() {
			for {
				select {
				case <-haunting:
					return
				case <-time.After(20 * time.Millisecond):
					h.replay(ghosts, []int{0, 1, next, next + 1})
				}
			}
		})
		begun := time.Now()
		joined := h.add()
		require.Less(t, time.Since(begun), 2*time.Second)
		require.NoError(t, joined.Ready())
		require.Len(t, joined.Members(), 3)
		begun = time.Now()
		first := h.add(func(cfg *node.Config) { cfg.Join = nil })
		require.Less(t, time.Since(begun), 5*time.Second)
		require.NoError(t, first.Ready())
		stop()
		h.undisturbed(0, 1, next, next+1) // what was repeated had them meet
	})
}

// Who cannot meet a member takes the word of those that can, so that all have one view.
func TestMemberMetByOthersIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := haunt(t, 2)
		apart := [2]string{hauntedAddr(1), hauntedAddr(2)}
		h.apart.Store(&apart)
		begun := time.Now()
		h.add()
		require.Less(t, time.Since(begun), 3*time.Second)
		time.Sleep(time.Second)
		for _, n := range h.nodes {
			require.Len(t, n.Members(), 3)
		}
		h.add() // one of them is taken on the word of those that are there
		time.Sleep(time.Second)
		for _, n := range h.nodes {
			require.Len(t, n.Members(), 4)
		}
	})
}

// A member that seemed dead is met anew when it is back.
func TestMemberThatReturnsIsMetAnew(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		h := haunt(t, 4)
		time.Sleep(time.Second)
		for i := range 3 {
			h.network.Cut(h.hosts[3], h.hosts[i])
		}
		time.Sleep(10 * time.Second)
		require.Len(t, h.nodes[0].Members(), 3)
		require.Len(t, h.nodes[3].Members(), 1)
		h.network.HealAll()
		time.Sleep(20 * time.Second)
		for _, n := range h.nodes {
			require.Len(t, n.Members(), 4)
		}
		h.undisturbed(0, 1, 2, 3)
	})
}

// So is a new start of a slot, at another address too, while its former self is not
// buried yet and is heard of again later.
func TestRestartedSlotAmongGhostsIsMetAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := haunt(t, 3)
		former := len(h.nodes)
		h.add()
		time.Sleep(2 * time.Second)
		h.leave(former)
		time.Sleep(time.Minute)
		h.add(func(cfg *node.Config) { cfg.Slot = fmt.Sprintf("n%d", former) })
		time.Sleep(time.Second)
		h.replay([]int{former}, []int{0, 1, 2, former + 1})
		h.undisturbed(0, 1, 2, former+1)
	})
}
