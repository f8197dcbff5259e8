package node_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The packages below node know nothing of one another, only of the wire.
func TestLeavesImportNoneOfOurs(t *testing.T) {
	const module = "github.com/sessionproc/sessionproc/"
	for leaf, allowed := range map[string][]string{
		"ring":                      {"ring"},
		"cluster":                   {"cluster", "transport/wire"},
		"transport":                 {"transport", "transport/wire"},
		"transport/wire":            {"transport/wire"},
		"sessionproc/internal/core": {"sessionproc/internal/core", "transport/wire"},
		"sessionproc":               {"sessionproc", "sessionproc/internal/core", "transport/wire"},
		"sessionproc/engine":        {"sessionproc/engine", "sessionproc", "sessionproc/internal/core", "transport/wire"},
		"sessionproc/sessionhttp": {"sessionproc/sessionhttp", "sessionproc", "sessionproc/internal/core",
			"transport/wire"},
		"node/internal/ownership": {"node/internal/ownership"},
		"node/internal/failure": {"node/internal/failure", "sessionproc",
			"sessionproc/internal/core", "transport", "transport/wire"},
		"node/internal/lifetime": {"node/internal/lifetime"},
		"node/internal/route":    {"node/internal/route", "cluster", "ring", "transport", "transport/wire"},
		"node/internal/roster": {"node/internal/roster", "cluster", "sessionproc", "sessionproc/engine",
			"sessionproc/internal/core", "transport/wire"},
		"node/internal/endpoint": {"node/internal/endpoint", "cluster", "transport", "transport/wire"},
		"node/nodetest/simnet":   {"node/nodetest/simnet"},
	} {
		out, err := exec.Command("go", "list", "-deps", module+leaf).Output()
		require.NoError(t, err, leaf)
		for _, dep := range strings.Fields(string(out)) {
			if ours, ok := strings.CutPrefix(dep, module); ok {
				require.Contains(t, allowed, ours, "%s imports it", leaf)
			}
		}
	}
}
