package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/integration/child"
)

// TestMain lets the test binary be the nodes' processes too.
func TestMain(m *testing.M) {
	if _, arg, ok := child.Invoked(); ok {
		childMain(arg)
	}
	os.Exit(m.Run())
}

// A killed process is known to all, not before its time, and none that lives is taken for
// dead: also not one that stood still for a moment. How soon it is known is judged in
// virtual time, in package node.
func TestOnlyTheDeadAreDead(t *testing.T) {
	for _, p := range []cluster.Profile{cluster.Fast, cluster.Eager} {
		t.Run(p.String(), func(t *testing.T) {
			f, err := run(t.Context(), options{nodes: 3, kills: 1, stalls: 3, callers: 1, gossip: p, progress: t.Output()})
			require.NoError(t, err)
			require.Empty(t, f.broken(p))
			require.Positive(t, f.calls)
			require.Len(t, f.all, 1)
			var report strings.Builder
			f.print(&report)
			t.Log("\n" + report.String())
		})
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-nodes", "20", "-kills", "0", "-gossip", "lan", "-steady", "10m"}, t.Output())
	require.NoError(t, err)
	require.Equal(t, cluster.LAN, o.gossip)
	require.Equal(t, 20, o.nodes)
	for _, wrong := range [][]string{{"-nodes", "1"}, {"-gossip", "slow"}, {"-kills", "-1"}, {"-stalls", "-1"}, {"more"}} {
		_, err := parse(wrong, t.Output())
		require.Error(t, err, wrong)
	}
}
