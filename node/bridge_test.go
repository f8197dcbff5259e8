package node_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A program may belong to two clusters, and a handler of one may call a session of the
// other, whose partitions are others and whose IDs may be the same.
func TestAHandlerMayCallAnotherCluster(t *testing.T) {
	var (
		bridges = sessionproc.KindOf[sessionproc.None]("bridge")
		cross   = sessionproc.MethodOf[string, string](bridges, "cross") // calls that session of the other cluster
		answer  = sessionproc.MethodOf[string, string](bridges, "answer")
	)
	start := func(name string, partitions int, other **node.Node) *node.Node {
		type bridge struct{}
		k := sessionproc.NewKind(bridges, startsAs[bridge], sessionproc.KindConfig{StartOnCall: true})
		sessionproc.HandleCall(k, cross, func(_ *bridge, ctx context.Context, id string) (string, error) {
			return answer.Call(ctx, *other, id, name)
		})
		sessionproc.HandleCall(k, answer, func(_ *bridge, _ context.Context, from string) (string, error) {
			return name + " to " + from, nil
		})
		return startNode(t, node.Config{
			Cluster: name, Ring: ring.Config{Partitions: partitions}, Kinds: []sessionproc.AnyKind{k},
		})
	}
	var west, east *node.Node
	west = start("west", 17, &east)
	east = start("east", 4099, &west)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		said, err := cross.Call(t.Context(), west, "here", id)
		require.NoError(t, err)
		require.Equal(t, "east to west", said)
		said, err = cross.Call(t.Context(), east, "there", id)
		require.NoError(t, err)
		require.Equal(t, "west to east", said)
	}
}
