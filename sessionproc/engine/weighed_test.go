package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

var (
	trunks = sessionproc.KindOf[sessionproc.None]("trunk")
	load   = sessionproc.NoticeOf[int](trunks, "load")
)

type trunk struct {
	Things []string
	Self   *trunk
}

func newTrunks(cfg sessionproc.KindConfig) sessionproc.AnyKind {
	start := startsAs[trunk, sessionproc.None]
	k := sessionproc.NewKind(trunks, start, cfg)
	sessionproc.HandleCast(k, load, func(s *trunk, _ context.Context, n int) error {
		if n < 0 {
			s.Self = s
			return nil
		}
		s.Things = append(s.Things, strings.Repeat("x", n))
		return nil
	})
	return k
}

// warned counts the lines of a log that say something.
func warned(log *journal, what string) int { return strings.Count(log.String(), what) }

const (
	isLarge      = "the state of a session is large"
	doesNotCode  = "the state of a session cannot be encoded"
	justOverALot = 1<<20 + 1
)

// A state that grows is warned of while its session works, and once, wherever it moves.
func TestGrowingStateIsWarnedOfBeforeItMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := new(journal), new(journal)
		l := newLocalWith(t, here.into, newTrunks(sessionproc.KindConfig{}))
		to := newLocalWith(t, func(c *engine.TableConfig) { c.Boot = 8; there.into(c) },
			newTrunks(sessionproc.KindConfig{}))
		for _, id := range []string{"a", "b", "c"} {
			require.NoError(t, trunks.Start(t.Context(), l, id, sessionproc.None{}))
		}
		time.Sleep(time.Minute)
		require.NoError(t, load.Cast(t.Context(), l, "a", justOverALot))
		require.NoError(t, load.Cast(t.Context(), l, "b", justOverALot/2))
		time.Sleep(time.Minute)
		require.Equal(t, 1, warned(here, isLarge))
		require.EqualValues(t, 1, l.table.Supervision().Large)
		require.NoError(t, load.Cast(t.Context(), l, "a", justOverALot))
		time.Sleep(time.Minute)
		require.Equal(t, 1, warned(here, isLarge), "once")

		travel(t, l, to, "a")
		travel(t, l, to, "b")
		require.NoError(t, load.Cast(t.Context(), to, "a", 1))
		require.NoError(t, load.Cast(t.Context(), to, "b", justOverALot/2))
		time.Sleep(time.Minute)
		require.Equal(t, 1, warned(here, isLarge))
		require.Equal(t, 1, warned(there, isLarge), "b alone")
		require.EqualValues(t, 1, to.table.Supervision().Large)
	})
}

// What encodes a state anyway sees its size at once.
func TestALargeStateIsSeenWhereverItIsEncoded(t *testing.T) {
	for what, cfg := range map[string]sessionproc.KindConfig{
		"at a move": {WarnState: 1000}, "for a restart": {WarnState: 1000,
			Restart: sessionproc.RestartLastState}, "by MaxState": {MaxState: 1000},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, log := newLogged(t, newTrunks(cfg))
				require.NoError(t, trunks.Start(t.Context(), l, "a", sessionproc.None{}))
				require.NoError(t, load.Cast(t.Context(), l, "a", 1001))
				synctest.Wait()
				if what == "for a restart" {
					require.NoError(t, load.Cast(t.Context(), l, "a", 1))
				} else {
					_, err := take(t, l, "a")
					require.Equal(t, what == "by MaxState", err != nil, "%v", err)
				}
				synctest.Wait()
				require.EqualValues(t, 1, l.table.Supervision().Large)
				require.Equal(t, 1, warned(log, isLarge))
			})
		})
	}
}

// If many grow at once the log does not, and the count is right.
func TestManyLargeStatesDoNotFloodTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, log := newLogged(t, newTrunks(sessionproc.KindConfig{WarnState: 1000}))
		for i := range 500 {
			id := fmt.Sprint("s", i)
			require.NoError(t, trunks.Start(t.Context(), l, id, sessionproc.None{}))
			require.NoError(t, load.Cast(t.Context(), l, id, 2000))
		}
		time.Sleep(20 * time.Second)
		require.EqualValues(t, 500, l.table.Supervision().Large)
		require.LessOrEqual(t, warned(log, isLarge), 14)
		require.GreaterOrEqual(t, warned(log, isLarge), 10)
	})
}

// A state that cannot be encoded, such as one that contains itself, could not move: that
// is said as well.
func TestAStateThatDoesNotEncodeIsWarnedOf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, log := newLogged(t, newTrunks(sessionproc.KindConfig{}))
		require.NoError(t, trunks.Start(t.Context(), l, "a", sessionproc.None{}))
		require.NoError(t, load.Cast(t.Context(), l, "a", -1))
		time.Sleep(time.Minute)
		require.NoError(t, load.Cast(t.Context(), l, "a", 1))
		time.Sleep(time.Minute)
		require.Equal(t, 1, warned(log, doesNotCode))
		require.Contains(t, log.String(), "nested deeper than 64 levels")
		require.Zero(t, l.table.Supervision().Large)
	})
}

// While the table is paused, and of sessions that end or move, nothing is weighed.
func TestNothingIsWeighedWhileTheTableIsPaused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newTrunks(sessionproc.KindConfig{}))
		require.NoError(t, trunks.Start(t.Context(), l, "a", sessionproc.None{}))
		require.NoError(t, load.Cast(t.Context(), l, "a", justOverALot))
		l.table.Pause(sessionproc.ErrNoQuorum)
		time.Sleep(time.Minute)
		require.Zero(t, l.table.Supervision().Large)
		l.table.Unpause()
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, l.table.Supervision().Large)
	})
}
