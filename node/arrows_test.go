package node_test

import (
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const ourModule = "github.com/sessionproc/sessionproc/"

// mayImport is, for each package below node's face, which of ours it may import, also by way
// of others. It is drawn in CONTRIBUTING.md.
var mayImport = map[string][]string{
	"ring":           {},
	"cluster":        {"internal/loglimit", "transport/wire"},
	"transport":      {"transport/wire"},
	"transport/wire": {},

	"internal/loglimit": {},
	"internal/logtest":  {}, "internal/shorttest": {}, // of tests alone

	"sessionproc":               {"sessionproc/internal/core", "transport/wire"},
	"sessionproc/internal/core": {"transport/wire"},
	"sessionproc/engine":        {"internal/loglimit", "sessionproc", "sessionproc/internal/core", "transport/wire"},
	"sessionproc/sessionhttp":   {"sessionproc", "sessionproc/internal/core", "transport/wire"},

	"node/nodetest/simnet":    {},
	"node/internal/ownership": {},
	"node/internal/lifetime":  {},
	"node/internal/testsize":  {},
	"node/internal/teststep":  {},
	"node/internal/route":     {"cluster", "internal/loglimit", "ring", "transport", "transport/wire"},
	"node/internal/endpoint":  {"cluster", "internal/loglimit", "transport", "transport/wire"},
	"node/internal/failure":   {"sessionproc", "sessionproc/internal/core", "transport", "transport/wire"},
	"node/internal/standby":   {"transport", "transport/wire", "node/internal/lifetime", "node/internal/ownership"},
	"node/internal/roster": {"cluster", "internal/loglimit", "sessionproc", "sessionproc/internal/core", "sessionproc/engine",
		"transport/wire"},
	"node/internal/handover": {"cluster", "internal/loglimit", "ring", "sessionproc", "sessionproc/internal/core", "sessionproc/engine",
		"transport", "transport/wire", "node/internal/failure", "node/internal/lifetime", "node/internal/ownership",
		"node/internal/roster", "node/internal/route", "node/internal/standby", "node/internal/teststep"},
}

// imports returns, for each of our packages, those of ours that it imports itself.
func imports(t *testing.T) map[string][]string {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, ourModule+"...").Output()
	require.NoError(t, err)
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		var ours []string
		for _, pkg := range strings.Fields(line) {
			if name, ok := strings.CutPrefix(pkg, ourModule); ok {
				ours = append(ours, name)
			}
		}
		if len(ours) > 0 {
			all[ours[0]] = ours[1:]
		}
	}
	return all
}

// reach returns what a package imports of ours, also by way of others.
func reach(all map[string][]string, from string) []string {
	found := map[string]bool{}
	var visit func(pkg string)
	visit = func(pkg string) {
		for _, next := range all[pkg] {
			if !found[next] {
				found[next] = true
				visit(next)
			}
		}
	}
	visit(from)
	return slices.Sorted(maps.Keys(found))
}

func TestPackagesImportWhatTheyMay(t *testing.T) {
	all := imports(t)
	for pkg, allowed := range mayImport {
		for _, dep := range reach(all, pkg) {
			require.Contains(t, allowed, dep, "%s imports it", pkg)
		}
	}
}

// A new room below node or sessionproc has to say what it may import.
func TestEachInternalPackageHasARule(t *testing.T) {
	for pkg := range imports(t) {
		if path.Base(path.Dir(pkg)) == "internal" && !strings.HasPrefix(pkg, "integration/") {
			require.Contains(t, mayImport, pkg)
		}
	}
}

// The contract and the engine do not know the cluster; the rooms of node do not know node.
func TestImportRulesKeepTheDirections(t *testing.T) {
	for pkg, allowed := range mayImport {
		require.NotContains(t, allowed, "node", pkg)
		if strings.HasPrefix(pkg, "sessionproc") {
			for _, dep := range allowed {
				shared := dep == "transport/wire" || dep == "internal/loglimit"
				require.True(t, strings.HasPrefix(dep, "sessionproc") || shared, "%s: %s", pkg, dep)
			}
		}
	}
	require.NotContains(t, mayImport["sessionproc"], "sessionproc/engine")
}
