package node_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

// nameServer is a real DNS server of one name, and what every look-up of this process
// asks until the test ends.
type nameServer struct {
	mu    sync.Mutex // guards addrs
	addrs []string
}

const theName = "web.cluster.test."

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	s := &nameServer{}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	up := make(chan struct{})
	srv := &dns.Server{PacketConn: socket, Handler: s, NotifyStartedFunc: func() { close(up) }}
	go func() { _ = srv.ActivateAndServe() }()
	<-up
	last := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = last
		_ = srv.Shutdown()
	})
	return s
}

func (s *nameServer) set(addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs = addrs
}

func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	ask := q.Question[0]
	if !strings.EqualFold(ask.Name, theName) || len(s.addrs) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	if ask.Qtype == dns.TypeA && m.Rcode == dns.RcodeSuccess {
		for _, a := range s.addrs {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: ask.Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
				A: net.ParseIP(a)})
		}
	}
	_ = w.WriteMsg(m)
}

// pods start nodes at 127.0.3.x, all at one port, whose seed is the name.
type pods struct {
	t    *testing.T
	port string
}

func newPods(t *testing.T) pods {
	l, err := net.Listen("tcp", "127.0.3.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return pods{t, port}
}

func podIP(i int) string { return fmt.Sprintf("127.0.3.%d", i) }

func (p pods) start(i int, cfg node.Config) (*node.Node, error) {
	cfg.Bind, cfg.Slot = net.JoinHostPort(podIP(i), p.port), fmt.Sprintf("pod%d", i)
	cfg.Join = []string{theName + ":" + p.port}
	n, err := node.Start(p.t.Context(), cfg)
	if err == nil {
		p.t.Cleanup(func() { _ = n.Close() })
	}
	return n, err
}

// The first pod of a service finds only itself in the DNS: it is ready after JoinTimeout.
// The second one is found by look-ups and joins.
func TestFirstPodIsReadyAfterJoinTimeout(t *testing.T) {
	dns, p := newNameServer(t), newPods(t)
	dns.set(podIP(1))
	begun := time.Now()
	first, err := p.start(1, node.Config{JoinTimeout: time.Second})
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(begun), time.Second)
	// On a busy machine its own address may not have answered within JoinTimeout.
	require.Eventually(t, func() bool { return first.Ready() == nil }, 30*time.Second, 10*time.Millisecond)
	dns.set(podIP(1), podIP(2))
	second, err := p.start(2, node.Config{JoinTimeout: 10 * time.Second})
	require.NoError(t, err)
	require.NoError(t, second.Ready())
	require.Eventually(t, func() bool { return len(first.Members()) == 2 }, 30*time.Second, 10*time.Millisecond)
}

// Pods that start at once, each in the DNS when it is up, are one cluster.
func TestPodsThatStartTogetherMeet(t *testing.T) {
	dns, p := newNameServer(t), newPods(t)
	dns.set(podIP(1))
	time.AfterFunc(500*time.Millisecond, func() { dns.set(podIP(1), podIP(2), podIP(3)) })
	var all sync.WaitGroup
	nodes := make([]*node.Node, 4)
	for i := 1; i <= 3; i++ {
		all.Go(func() {
			n, err := p.start(i, node.Config{JoinTimeout: 20 * time.Second})
			if assert.NoError(t, err) {
				nodes[i] = n
			}
		})
	}
	all.Wait()
	require.False(t, t.Failed())
	for _, n := range nodes[1:] {
		require.Eventually(t, func() bool { return len(n.Members()) == 3 }, 30*time.Second, 10*time.Millisecond)
		require.NoError(t, n.Ready())
	}
}

// A pod that finds others and reaches none of them may be an island, and so may one that
// needs a quorum.
func TestAPodThatMayBeAnIslandIsNotReady(t *testing.T) {
	dns, p := newNameServer(t), newPods(t)
	for name, row := range map[string]struct {
		addrs  []string
		quorum int
	}{"unreachable": {[]string{podIP(1), podIP(9)}, 0}, "unknown": {nil, 0}, "quorum": {[]string{podIP(1)}, 2}} {
		t.Run(name, func(t *testing.T) {
			dns.set(row.addrs...)
			n, err := p.start(1, node.Config{JoinTimeout: time.Second, Quorum: row.quorum})
			require.NoError(t, err)
			require.Error(t, n.Ready())
			require.NoError(t, n.Close())
		})
	}
}

// Replicas that all advertise one address, which is their seed too: the first one is
// itself there, and every other one is told what is wrong instead of being an island.
func TestReplicasThatAdvertiseOneAddressAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := simnet.New(simnet.Config{})
		require.NoError(t, err)
		start := func(i byte, join ...string) (*node.Node, error) {
			host := network.Host(netip.AddrFrom4([4]byte{10, 0, 0, i}))
			return node.Start(t.Context(), node.Config{Network: host, Bind: host.Addr().String() + ":7946",
				Slot:      fmt.Sprintf("n%d", i),
				Advertise: "10.0.0.1:7946", Join: join, Insecure: true})
		}
		first, err := start(1, "10.0.0.1:7946")
		require.NoError(t, err)
		require.NoError(t, first.Ready())
		for _, join := range [][]string{{"10.0.0.1:7946"}, {"10.0.0.1:7946", "10.0.0.2:7946"}} {
			begun := time.Now()
			_, err = start(2, join...)
			require.ErrorContains(t, err, "Config.Advertise")
			require.Less(t, time.Since(begun), 5*time.Second)
		}
		require.NoError(t, first.Close())
		second, err := start(2, "10.0.0.1:7946") // nobody answers there: it may be an island
		require.NoError(t, err)
		require.Error(t, second.Ready())
		require.NoError(t, second.Close())
		time.Sleep(time.Minute) // for gossip's goroutines
	})
}
