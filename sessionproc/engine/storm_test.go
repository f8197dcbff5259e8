package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// 10,000 starts come at once, as of a cluster whose nodes have all been started
// anew: they run first come first served, so many at a time as are allowed, and
// those whose time is over before their turn never run.
func TestAStormOfStartsRunsInOrder(t *testing.T) {
	const (
		all      = 10_000
		most     = 8
		takes    = 10 * time.Millisecond
		patience = 5*time.Second + takes/2
		started  = most * int(patience/takes) // in time
		ran      = started + most             // those in their start function when time was up
	)
	bubble(t, func(t *testing.T) {
		turns := make(chan string, all)
		l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = most },
			script{start: func(_ context.Context, id string) error {
				turns <- id
				time.Sleep(takes)
				return nil
			}}.make())
		ids := names("s", all)
		begin := time.Now()
		requests, outcomes := make([]*engine.Inbound, all), make([]answers, all)
		for i, id := range ids {
			requests[i] = &engine.Inbound{Op: core.OpStart, ID: id, Kind: "scripted", Payload: encoded(t, id),
				Deadline: begin.Add(patience)}
			outcomes[i] = serving(l, requests[i])
		}
		time.Sleep(patience)
		for _, in := range requests {
			in.Cancel() // as its node does
		}
		synctest.Wait()
		require.Len(t, turns, ran)
		for i := 0; i < ran; i += most {
			var turn []string
			for range most {
				turn = append(turn, <-turns)
			}
			require.ElementsMatch(t, ids[i:i+most], turn)
		}
		for i, outcome := range outcomes {
			require.Len(t, outcome, 1)
			got := <-outcome
			if i < started {
				require.NoError(t, got.err)
				continue
			}
			require.ErrorIs(t, got.err, context.Canceled)
			require.Equal(t, i < ran, got.maybe, "only those that ran may have started")
		}
		time.Sleep(takes)
		synctest.Wait()
		require.Empty(t, turns, "nobody's turn comes any more")
		require.Equal(t, ran, l.table.Len())
		running, queued := l.table.Starts()
		require.Zero(t, running+queued)
	})
}
