package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/integration/promserver"
)

func TestMain(m *testing.M) {
	child.Main(map[string]child.Role{replicaRole: runReplica})
	os.Exit(m.Run())
}

// Of the incidents those that show most in little time; the program provokes all of them.
func TestIncidentsFireTheirAlertsAndShowTheirCauses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out bytes.Buffer
	err := run(ctx, &out, []string{"stuck", "split", "rotation"})
	if errors.Is(err, promserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err, "%s", &out)
	for _, fires := range []string{"SessionprocHandlerStuck", "SessionprocSplit", "SessionprocSecretsDiffer"} {
		require.Contains(t, out.String(), `ALERTS{alertname="`+fires+`",alertstate="firing"`)
	}
}

func TestIncidentsHaveNamesOfTheirOwn(t *testing.T) {
	names := map[string]bool{}
	for _, i := range incidents {
		require.False(t, names[i.name], i.name)
		names[i.name] = true
	}
	require.Len(t, names, 7)
	require.ErrorContains(t, run(t.Context(), new(bytes.Buffer), []string{"flood"}), `no incident "flood"`)
}
