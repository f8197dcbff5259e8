package node_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The reference that a caller gets of a crash is in a log, also where nobody has thought
// of a Logger; with slog.DiscardHandler nothing is said.
func TestACrashIsFoundInTheDefaultLog(t *testing.T) {
	for name, logger := range map[string]*slog.Logger{"default": nil, "silent": slog.New(slog.DiscardHandler)} {
		t.Run(name, func(t *testing.T) {
			said := new(logged)
			defer slog.SetDefault(slog.Default())
			slog.SetDefault(said.Logger())
			cfg := ofGreenhorns(sessionproc.KindConfig{})
			cfg.Tune = func(_ int, n *node.Config) { n.Logger = logger }
			inEachPlace(t, cfg, func(p place) {
				_, err := learn.Call(p.Context(), p.via, p.id, "little")
				require.NoError(p, err)
				p.move()
				_, err = learn.Call(p.Context(), p.via, p.id, "too much")
				crash, ok := errors.AsType[*sessionproc.CrashError](err)
				require.True(p, ok, "%v", err)
				lines := said.Lines(crash.Reference)
				if logger != nil {
					require.Empty(p, said.Lines(""))
					return
				}
				require.Len(p, lines, 1)
				require.Contains(p, lines[0], "too much")
				require.Empty(p, said.Lines("level=INFO"))
				require.Empty(p, said.Lines(p.id))
			})
		})
	}
}
