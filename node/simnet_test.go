package node_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Three nodes in virtual time, with nothing but what a user has: start, calls, a crash, its detection, Leave, Close.
func TestClusterRunsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := simnet.New(simnet.Config{})
		require.NoError(t, err)
		ctx := t.Context()
		hosts, nodes := make([]*simnet.Host, 3), make([]*node.Node, 3)
		for i := range nodes {
			hosts[i] = network.Host(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
			nodes[i], err = node.Start(ctx, node.Config{
				Network: hosts[i], Bind: hosts[i].Addr().String() + ":7946", Slot: fmt.Sprintf("n%d", i), Insecure: true,
				Join: []string{"10.0.0.1:7946"}, Kinds: []sessionproc.AnyKind{newCounters()},
			})
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		for i := range 30 {
			id := fmt.Sprintf("session-%d", i)
			require.NoError(t, counters.Start(ctx, nodes[i%3], id, i))
			for j, n := range nodes {
				got, err := add.Call(ctx, n, id, 10)
				require.NoError(t, err)
				require.Equal(t, i+10*(j+1), got)
			}
		}
		hosts[2].Crash()
		require.NoError(t, nodes[2].Close())
		time.Sleep(5 * time.Second)
		require.Len(t, nodes[0].Members(), 2)
		require.Len(t, nodes[1].Members(), 2)
		require.NoError(t, nodes[0].Leave(ctx))
		time.Sleep(time.Second)
		require.Len(t, nodes[1].Members(), 1)
		require.NoError(t, nodes[1].Close())
		time.Sleep(time.Minute) // for gossip's goroutines
	})
}

// counterNodes is a simulated cluster of two nodes, and a counter that node 1 owns.
func counterNodes(t *testing.T) (c *nodetest.Cluster, id string) {
	c = nodetest.NewCluster(t, 2, newCounters)
	return c, startOn(t, c, 1, 1)[0]
}

var (
	sleepers = sessionproc.KindOf[sessionproc.None]("sleeper")
	sleep    = sessionproc.MethodOf[time.Duration, sessionproc.None](sleepers, "sleep")
)

// newSleepers makes a kind whose handler does not care for its ctx.
func newSleepers() sessionproc.AnyKind {
	k := sessionproc.NewKind(sleepers, startsAs[struct{}], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, sleep, func(_ *struct{}, _ context.Context, d time.Duration) (sessionproc.None, error) {
		time.Sleep(d)
		return sessionproc.None{}, nil
	})
	return k
}

// Whoever waits for another's Close does not stop the time of a bubble, which the handler that all wait for needs.
func TestManyClosesAtOnceAllReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodetest.NewCluster(t, 1, newSleepers).Node(0)
		require.NoError(t, sleepers.Start(t.Context(), n, "a", sessionproc.None{}))
		called := make(chan error, 1)
		go func() {
			_, err := sleep.Call(t.Context(), n, "a", 3*time.Second)
			called <- err
		}()
		synctest.Wait()
		begin := time.Now()
		var done sync.WaitGroup
		for range 4 {
			done.Go(func() { assert.NoError(t, n.Close()) })
		}
		require.ErrorIs(t, <-called, sessionproc.ErrClosed)
		require.Zero(t, time.Since(begin))
		done.Wait()
		require.Equal(t, 3*time.Second, time.Since(begin))
		_, err := sleep.Call(t.Context(), n, "a", 0)
		require.ErrorIs(t, err, sessionproc.ErrClosed)
	})
}

// A connection that ends within a request or its reply: the call ends at once, and if it
// says that it was not executed, it was not.
func TestCallEndsAtOnceWhereverItsConnectionIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, id := counterNodes(t)
		caller, owner := c.Node(0), c.Node(1)
		count := 0
		for n := range 120 {
			there, back := c.Host(0), c.Host(1)
			if n%2 == 1 {
				there, back = back, there
			}
			c.Network().ResetAfter(there, back, n/2)
			begin := time.Now()
			_, err := add.Call(t.Context(), caller, id, 1)
			require.Less(t, time.Since(begin), time.Second)
			c.Network().ResetAfter(there, back, -1)
			time.Sleep(time.Second) // a request that is whole may still be under way
			got, readErr := add.Call(t.Context(), owner, id, 0)
			require.NoError(t, readErr)
			switch {
			case err == nil:
				require.Equal(t, count+1, got, n)
			case sessionproc.MaybeExecuted(err):
				require.ErrorIs(t, err, sessionproc.ErrUnavailable)
				require.Contains(t, []int{count, count + 1}, got, n)
			default:
				require.Equal(t, count, got, n)
			}
			count = got
		}
		require.Greater(t, count, 20)
		require.Less(t, count, 120)
	})
}

// oddNetwork listens at addresses that are no IP addresses.
type oddNetwork struct{ node.Network }

type oddListener struct{ net.Listener }

func (oddListener) Addr() net.Addr { return &net.UnixAddr{Name: "/run/odd"} }

func (o oddNetwork) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := o.Network.Listen(ctx, network, address)
	return oddListener{l}, err
}

func TestNetworkOfOtherAddressesIsRefused(t *testing.T) {
	network, err := simnet.New(simnet.Config{})
	require.NoError(t, err)
	host := network.Host(netip.MustParseAddr("127.0.0.1"))
	_, err = node.Start(t.Context(), node.Config{Network: oddNetwork{host}})
	require.ErrorContains(t, err, `Config.Network: the listener's address "/run/odd"`)
	l, err := host.Listen(t.Context(), "tcp", "127.0.0.1:49152")
	require.NoError(t, err, "the port is free again")
	require.NoError(t, l.Close())
}
