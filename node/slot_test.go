package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
)

// A replica whose clock has gone backwards is newer than its former self all the
// same.
func TestRestartIsTheNewerBootWhateverTheClockSays(t *testing.T) {
	seed := begin(t, Config{Slot: "seed"})
	cfg, err := Config{Slot: "web-1", Join: []string{seed.Addr()}}.withDefaults()
	require.NoError(t, err)
	former := newNode(cfg)
	require.NoError(t, former.start(t.Context(), cluster.NewBoot(time.Now().Add(time.Hour), 0)))
	require.NoError(t, former.Close())

	cfg.Bind = former.Addr()
	again, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	require.Greater(t, again.Name(), former.Name())
	require.NoError(t, again.Close())
}
