package engine_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// While a machine sleeps the monotonic clock stands still; the stall is told all the
// same, before a message is handled. A clock that is set back is none.
func TestASleepOfTheMachineIsAStall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var (
			mu   sync.Mutex
			told []string
		)
		tell := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, what)
		}
		heard := func() (all []string) {
			mu.Lock()
			defer mu.Unlock()
			all, told = told, nil
			return all
		}
		l := newLocalWith(t, func(cfg *engine.TableConfig) {
			cfg.StallAfter = time.Second
			cfg.OnStall = func(gap time.Duration) { tell(gap.Truncate(time.Second).String()) }
		}, script{do: func(_ context.Context, r string) (string, error) {
			tell(r)
			return r, nil
		}}.make())
		l.start(t, "a")
		l.table.DetectStalls(true)
		time.Sleep(time.Second)
		synctest.Wait()
		l.table.Sleep(time.Hour)
		require.NoError(t, <-doing(t.Context(), l, "a", "handled"))
		require.Equal(t, []string{"1h0m0s", "handled"}, heard())

		time.Sleep(time.Second)
		synctest.Wait()
		heard() // the table itself has seen it too
		l.table.Sleep(-time.Hour)
		require.NoError(t, <-doing(t.Context(), l, "a", "handled"))
		time.Sleep(time.Second)
		synctest.Wait()
		l.table.Sleep(20 * time.Second) // nobody calls: the table itself sees it
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"handled", "20s"}, heard())
	})
}
