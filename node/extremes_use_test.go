package node_test

import (
	"context"
	"fmt"
	"math"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// countersWith are newCounters of other settings.
func countersWith(kind sessionproc.KindConfig, method sessionproc.MethodConfig,
	event sessionproc.EventConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(counters, func(_ context.Context, n int) (*counter, error) { return &counter{n}, nil }, kind)
	sessionproc.HandleEvent(k, added, func(c *counter) int { return c.N }, event)
	sessionproc.HandleCall(k, add, func(c *counter, ctx context.Context, n int) (int, error) {
		bump.After(ctx, math.MaxInt64, sessionproc.None{})
		c.N += n
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return c.N, added.Publish(ctx, c.N)
	}, method)
	sessionproc.HandleCast(k, bump, func(c *counter, _ context.Context, _ sessionproc.None) error { c.N++; return nil })
	return k
}

// liveAndLeave has two nodes with that Config start sessions, call them, hand them over and
// leave. sound: none of that may fail but for the starting of the first node.
func liveAndLeave(t *testing.T, cfg node.Config, kind func() sessionproc.AnyKind, sound bool) error {
	network, err := simnet.New(simnet.Config{})
	require.NoError(t, err)
	may := func(err error) {
		if sound {
			require.NoError(t, err)
		}
	}
	var nodes []*node.Node
	defer func() {
		for _, n := range nodes {
			may(n.Close())
		}
		time.Sleep(time.Minute) // for gossip's goroutines
	}()
	for i := range 2 {
		c, host := cfg, network.Host(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
		c.Network, c.Bind, c.Slot, c.Insecure = host, host.Addr().String()+":7946", fmt.Sprintf("n%d", i), true
		c.Kinds = []sessionproc.AnyKind{kind()}
		if i > 0 {
			c.Join = []string{"10.0.0.1:7946"}
		}
		n, err := node.Start(t.Context(), c)
		if i == 0 && err != nil {
			return err
		}
		if err == nil {
			nodes = append(nodes, n)
		}
		may(err)
	}
	time.Sleep(2 * time.Second)
	use := func(n *node.Node, id string) {
		_, err := add.Call(context.Background(), n, id, 1)
		may(err)
		may(bump.Cast(context.Background(), n, id, sessionproc.None{}))
		ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1<<50, 0)) // far away
		defer cancel()
		_, err = add.Call(ctx, n, id, 1)
		may(err)
	}
	last := len(nodes) - 1
	for i := range 10 {
		id := fmt.Sprint("s", i)
		may(counters.Start(context.Background(), nodes[i%len(nodes)], id, i))
		use(nodes[0], id)
		use(nodes[last], id)
	}
	may(nodes[0].Terminate(context.Background(), "s0"))
	time.Sleep(time.Second)
	if last > 0 {
		may(nodes[last].Leave(context.Background()))
		for i := 1; i < 10; i++ {
			use(nodes[0], fmt.Sprint("s", i))
		}
	}
	may(nodes[0].Leave(context.Background()))
	return nil
}

func subscribeWith(t *testing.T, o sessionproc.SubscribeOptions) error {
	n := nodetest.NewCluster(t, 1, newCounters).Node(0)
	require.NoError(t, counters.Start(t.Context(), n, "a", 1))
	sub, err := added.Subscribe(t.Context(), n, "a", o)
	if err != nil {
		return err
	}
	defer sub.Close()
	_, err = add.Call(t.Context(), n, "a", 1)
	require.NoError(t, err)
	u, err := sub.Next(t.Context())
	require.NoError(t, err)
	require.Positive(t, u.Value)
	return nil
}

func streamWith(t *testing.T, cfg sessionhttp.EventsConfig[int]) error {
	n := nodetest.NewCluster(t, 1, newCounters).Node(0)
	require.NoError(t, counters.Start(t.Context(), n, "a", 1))
	events, err := sessionhttp.Events(n, added, cfg)
	if err != nil {
		return err
	}
	ctx := lasting(t, time.Second)
	w := httptest.NewRecorder()
	events.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	require.Contains(t, w.Body.String(), "data: 1")
	require.NotContains(t, w.Body.String(), "retry: -")
	return nil
}

// fatal is a testing.TB whose Fatalf is an error.
type fatal struct {
	*testing.T
	err error
}

func (f *fatal) Fatalf(format string, args ...any) {
	f.err = fmt.Errorf(format, args...)
	runtime.Goexit()
}

func clusterWith(t *testing.T, cfg nodetest.Config) error {
	cfg.Network = simnet.Config{Seed: cfg.Network.Seed, Buffer: cfg.Network.Buffer, Backlog: cfg.Network.Backlog,
		Link: cfg.Network.Link}
	f := &fatal{T: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nodetest.Start(f, cfg)
	}()
	<-done
	return f.err
}
