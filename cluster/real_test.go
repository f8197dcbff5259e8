package cluster_test

import (
	"io"
	"log"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// real is a node's Config over real sockets on loopback.
func real(t *testing.T, slot string, join ...string) cluster.Config {
	transport, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{"127.0.0.1"},
		Logger:    log.New(io.Discard, "", 0),
	})
	require.NoError(t, err)
	return cluster.Config{
		Name: "test",
		Self: cluster.Member{
			Slot: slot, Boot: cluster.NewBoot(time.Now(), 0),
			Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(transport.GetAutoBindPort())),
		},
		Transport: transport,
		Keys:      [][]byte{[]byte("0123456789abcdef0123456789abcdef")},
		Join:      join,
	}
}

func startReal(t *testing.T, cfg cluster.Config) *cluster.Cluster {
	c, err := cluster.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestMembersMeetAndLeaveOverRealSockets(t *testing.T) {
	t.Parallel()
	first := real(t, "a")
	a := startReal(t, first)
	b := startReal(t, real(t, "b", first.Self.Addr))
	third := real(t, "c", "localhost:"+first.Self.Addr[len("127.0.0.1:"):])
	c := startReal(t, third)

	see := func(c *cluster.Cluster, slots ...string) {
		require.EventuallyWithT(t, func(t *assert.CollectT) { assert.Equal(t, slots, names(c)) },
			30*time.Second, 5*time.Millisecond)
	}
	for _, node := range []*cluster.Cluster{a, b, c} {
		see(node, "a", "b", "c")
	}
	require.NoError(t, b.SetState(cluster.Serving))
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		assert.Len(t, c.View().Serving(), 1)
	}, 30*time.Second, 5*time.Millisecond)

	require.NoError(t, c.Close()) // as a crash
	ln, err := net.Listen("tcp", third.Self.Addr)
	require.NoError(t, err, "the port is free")
	require.NoError(t, ln.Close())
	see(a, "a", "b")
	see(b, "a", "b")

	require.NoError(t, b.Leave(t.Context()))
	see(a, "a")
}

func TestAFailedStartFreesThePort(t *testing.T) {
	cfg := real(t, "a")
	cfg.Name = ""
	_, err := cluster.Start(t.Context(), cfg)
	require.EqualError(t, err, "cluster: start: Config.Name: is empty")
	ln, err := net.Listen("tcp", cfg.Self.Addr)
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}
