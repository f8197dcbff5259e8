package node

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// Without Config.Logger what a person must know goes to slog.Default, and no more.
func TestDefaultLoggerLogsWarningsAndAbove(t *testing.T) {
	var out bytes.Buffer
	last := slog.Default()
	defer slog.SetDefault(last)
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	cfg, err := Config{}.withDefaults()
	require.NoError(t, err)
	log := cfg.Logger.With("node", "a").WithGroup("g")
	log.Info("no")
	require.Empty(t, out.String())
	log.Warn("yes", "k", 1)
	require.Contains(t, out.String(), "level=WARN msg=yes node=a g.k=1")
}
