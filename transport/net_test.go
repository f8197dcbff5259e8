package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hello is a Handshake that sends a name and accepts what refuse does not name.
type hello struct {
	name   string
	refuse string
}

func (h hello) Hello(net.Conn, bool) ([]byte, error) { return []byte(h.name), nil }

func (h hello) Check(_ net.Conn, _ bool, peer []byte) (string, error) {
	if h.refuse != "" && string(peer) == h.refuse {
		return "", fmt.Errorf("cluster %q is not %q", peer, h.name)
	}
	return string(peer), nil
}

// handler answers with the functions that are set; by default it echoes and acknowledges.
type handler struct {
	serve  func(c *transport.Call)
	cancel func(c *transport.Call)
	why    func(c *transport.Call) string
	stream func(s *transport.Stream)
}

func (h handler) Serve(c *transport.Call) {
	switch {
	case h.serve != nil:
		h.serve(c)
	case c.Cast:
		c.Ack()
	default:
		c.Reply(c.Flags, c.Payload)
	}
}

func (h handler) Cancel(c *transport.Call) {
	if h.cancel != nil {
		h.cancel(c)
	}
}

func (h handler) Why(c *transport.Call) string {
	if h.why != nil {
		return h.why(c)
	}
	return ""
}

func (h handler) ServeStream(s *transport.Stream) {
	if h.stream != nil {
		h.stream(s)
	}
}

// network connects transports in memory by name, one synctest bubble long.
type network struct {
	size int           // of a connection's buffers
	over chan struct{} // closed by stop

	mu    sync.Mutex
	nodes map[string]*transport.Transport
	dials int
	fault func(dialer, acceptor *memConn, class transport.Class) // may be nil
	raw   func(acceptor *memConn)                                // gets the connections to "raw"
}

func newNetwork() *network {
	return &network{size: 64 << 10, over: make(chan struct{}), nodes: map[string]*transport.Transport{}}
}

// onNetwork runs a test in fake time, on a network that is stopped after it.
func onNetwork(t *testing.T, f func(t *testing.T, n *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		defer n.stop()
		f(t, n)
	})
}

var errNobody = errors.New("nobody listens")

func (n *network) dial(_ context.Context, addr string, class transport.Class) (net.Conn, error) {
	n.mu.Lock()
	n.dials++
	t, fault, raw := n.nodes[addr], n.fault, n.raw
	n.mu.Unlock()
	if addr == "raw" && raw != nil {
		a, b := memPair(n.size)
		raw(b)
		return a, nil
	}
	if t == nil {
		return nil, errNobody
	}
	a, b := memPair(n.size)
	if fault != nil {
		fault(a, b, class)
	}
	t.Accept(b, class)
	return a, nil
}

func (n *network) dialed() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// start adds a node; tune may change its Config.
func (n *network) start(
	t *testing.T, name string, h transport.Handler, tune func(*transport.Config),
) *transport.Transport {
	t.Helper()
	cfg := transport.Config{Dial: n.dial, Handshake: hello{name: name}, Handler: h}
	if tune != nil {
		tune(&cfg)
	}
	tr, err := transport.New(cfg)
	require.NoError(t, err)
	n.mu.Lock()
	n.nodes[name] = tr
	n.mu.Unlock()
	return tr
}

// stop closes the nodes.
func (n *network) stop() {
	close(n.over)
	for _, t := range n.nodes {
		_ = t.Close()
	}
}

// listen serves t on a loopback port until the test ends.
func listen(t testing.TB, tr *transport.Transport, class transport.Class) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tr.Accept(c, class)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		_ = tr.Close()
	})
	return l.Addr().String()
}

// overTCP returns a transport that dials loopback ports.
func overTCP(t testing.TB, h transport.Handler, tune func(*transport.Config)) *transport.Transport {
	cfg := transport.Config{
		Dial: func(ctx context.Context, addr string, _ transport.Class) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		},
		Handshake: hello{name: "node"}, Handler: h,
	}
	if tune != nil {
		tune(&cfg)
	}
	tr, err := transport.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// within returns a ctx of the test that lasts d.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
