package node

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// begin starts a node that joins others, and closes it after the test.
func begin(t *testing.T, cfg Config, others ...*Node) *Node {
	t.Helper()
	for _, n := range others {
		cfg.Join = append(cfg.Join, n.Addr())
	}
	n, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}
