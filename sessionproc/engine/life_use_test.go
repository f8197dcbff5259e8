package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A copy of a session runs on elsewhere. Meanwhile the session, which has been restarted more often
// than a version tells, is terminated and started anew. When the two meet, the new life goes on.
func TestATerminatedLifeStaysEndedAfterManyRestarts(t *testing.T) {
	skipUnderRace(t)
	for _, changed := range []bool{false, true} {
		for _, comes := range []string{"the old", "the new"} {
			t.Run(fmt.Sprintf("changed %v, %s comes", changed, comes), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var tables [2]*local
					for i := range tables {
						tables[i] = newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Boot = uint64(i + 1) },
							newPhoenixes(sessionproc.KindConfig{Restart: sessionproc.RestartLastState}, nil))
					}
					here, there := tables[0], tables[1]
					require.NoError(t, phoenixes.Start(t.Context(), here, "a", 1))
					b, err := take(t, here, "a")
					require.NoError(t, err)
					here.table.Resume(part("a"), "a")
					copied, err := there.table.Restore(part("a"), "a", b)
					require.NoError(t, err)
					copied.Renew()
					require.NoError(t, copied.Insert())
					if changed {
						_, err := feed.Call(t.Context(), there, "a", 100)
						require.NoError(t, err)
					}
					for range 70 {
						_, err := feed.Call(t.Context(), here, "a", -1)
						require.ErrorIs(t, err, sessionproc.ErrCrashed)
						_, err = feed.Call(t.Context(), here, "a", 1) // a change in each incarnation
						require.NoError(t, err)
						time.Sleep(time.Minute)
					}
					require.NoError(t, here.Deliver(t.Context(), "a", engine.Untyped(core.OpTerminate, "", "", nil, nil)))
					require.NoError(t, phoenixes.Start(t.Context(), here, "a", 7))

					to, from := here, there
					if comes == "the new" {
						to, from = there, here
					}
					b, err = take(t, from, "a")
					require.NoError(t, err)
					met, err := to.table.Restore(part("a"), "a", b)
					require.NoError(t, err)
					require.True(t, to.table.Meet(met))
					got, err := peek.Call(t.Context(), to, "a", 0)
					require.NoError(t, err)
					require.Equal(t, 7, got)
					require.Zero(t, to.table.Copies())
				})
			})
		}
	}
}
