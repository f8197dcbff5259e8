package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/simnet"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestClusterRunsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := simnet.New(simnet.Config{})
		require.NoError(t, err)
		ctx := t.Context()
		hosts := make([]*simnet.Host, 3)
		nodes := make([]*node.Node, 3)
		for i := range nodes {
			hosts[i] = network.Host(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
			nodes[i], err = node.Start(ctx, node.Config{
				Network: hosts[i], Bind: hosts[i].Addr().String() + ":7946", Slot: fmt.Sprintf("n%d", i), Insecure: true,
				Join: []string{"10.0.0.1:7946"}, Kinds: []sessionproc.AnyKind{newCounters()}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
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
		begin := time.Now()
		for len(nodes[0].Members()) != 2 || len(nodes[1].Members()) != 2 {
			time.Sleep(10 * time.Millisecond)
		}
		t.Log("crash found after", time.Since(begin))
		lost := 0
		for i := range 30 {
			if _, err := add.Call(ctx, nodes[1], fmt.Sprintf("session-%d", i), 1); err != nil {
				require.ErrorIs(t, err, sessionproc.ErrNotFound)
				lost++
			}
		}
		t.Log("lost", lost)
		require.NoError(t, nodes[0].Leave(context.Background()))
		require.NoError(t, nodes[1].Close())
		time.Sleep(time.Minute)
	})
}
