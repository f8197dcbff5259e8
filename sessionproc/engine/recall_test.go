package engine_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// labelled is a kind whose sessions have their argument as a label. told, if not
// nil, hears of their ends.
func labelled(told *ends) script {
	s := script{start: func(ctx context.Context, user string) error {
		return sessionproc.FromContext(ctx).SetLabel("user", user)
	}}
	if told != nil {
		s.end = told.note
	}
	return s
}

func startLabelled(t *testing.T, l *local, id string) {
	t.Helper()
	require.NoError(t, scripted.Start(t.Context(), l, id, "ann"))
}

func TestLogOutEndsASessionInFlightWhereItArrives(t *testing.T) {
	for name, c := range map[string]struct {
		wait  time.Duration // between the end of the others and the arrival
		later bool          // it is started after that end
		stays bool
	}{
		"at once":         {},
		"after a while":   {wait: 50 * time.Second},
		"after too long":  {wait: 61 * time.Second, stays: true},
		"started anew":    {wait: 10 * time.Second, later: true, stays: true},
		"of another user": {stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := newScripted(t, labelled(nil)), newScripted(t, labelled(nil))
				user := "ann"
				if name == "of another user" {
					user = "bob"
				}
				end := func() {
					ended, moving, err := b.table.EndLabelled(t.Context(), "user", user, 0)
					require.NoError(t, err)
					require.Zero(t, ended)
					require.Empty(t, moving)
				}
				if c.later {
					end()
					time.Sleep(5 * time.Second)
				}
				startLabelled(t, a, "a")
				snapshot, err := take(t, a, "a")
				require.NoError(t, err)
				if !c.later {
					end()
				}
				time.Sleep(c.wait)
				require.NoError(t, land(b, "a", snapshot))
				synctest.Wait()
				require.Equal(t, c.stays, b.started(t, "a"))
				if !c.stays {
					require.Equal(t, map[sessionproc.Reason]int64{sessionproc.ReasonTerminated: 1}, b.table.Stats(t.Context()).Ends)
				}
			})
		})
	}
}

func TestLogOutEndsASealedSessionThatComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		l := newScripted(t, labelled(&told))
		startLabelled(t, l, "a")
		startLabelled(t, l, "b")
		_, err := take(t, l, "a")
		require.NoError(t, err)
		ended, moving, err := l.table.EndLabelled(t.Context(), "user", "ann", 0)
		require.NoError(t, err)
		require.Equal(t, 1, ended)
		require.Equal(t, []string{"a"}, moving)
		l.table.Resume(part("a"), "a")
		synctest.Wait()
		require.False(t, l.started(t, "a"))
		require.Equal(t, []sessionproc.Reason{sessionproc.ReasonTerminated}, told.of("a"))
	})
}

func TestEndLabelledWaitsForRunningHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		s := labelled(&told)
		s.do = func(_ context.Context, r string) (string, error) {
			d, err := time.ParseDuration(r)
			time.Sleep(d)
			return "", err
		}
		l := newScripted(t, s)
		for id, busy := range map[string]string{"a": "500ms", "b": "3s"} { // StopTimeout is 1 s
			startLabelled(t, l, id)
			go func() { _, _ = do.Call(t.Context(), l, id, busy) }()
		}
		synctest.Wait()
		begin := time.Now()
		ended, _, err := l.table.EndLabelled(t.Context(), "user", "ann", 0)
		require.NoError(t, err)
		require.Equal(t, 2, ended)
		require.Equal(t, time.Second, time.Since(begin))
		require.NotEmpty(t, told.of("a"))
		require.Empty(t, told.of("b"))
		time.Sleep(3 * time.Second)
	})
}

func TestPagesOfAListHoldEachSessionOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{})
		for i := range 100 {
			l.start(t, "s"+strconv.Itoa(i))
		}
		for _, size := range []int{0, 1000, 1 << 20} {
			seen := map[string]bool{}
			at, pages := engine.Cursor{}, 0
			for more := true; more; pages++ {
				var page []engine.Info
				page, at, more = l.table.Page(at, engine.Filter{}, 7, size)
				require.LessOrEqual(t, len(page), 7)
				for _, s := range page {
					require.False(t, seen[s.ID])
					seen[s.ID] = true
				}
			}
			require.Len(t, seen, 100)
			require.GreaterOrEqual(t, pages, 100/7)
		}
	})
}

// Reasons are texts of users: they must not fill the memory.
func TestReasonsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{do: func(ctx context.Context, r string) (string, error) {
			sessionproc.FromContext(ctx).Stop(sessionproc.Reason(r))
			return "", nil
		}})
		const count = 2000
		for i := range count {
			l.start(t, "a")
			_, err := do.Call(t.Context(), l, "a", "reason "+strconv.Itoa(i))
			require.NoError(t, err)
			synctest.Wait()
		}
		s := l.table.Stats(t.Context())
		sum := int64(0)
		for _, n := range s.Ends {
			sum += n
		}
		require.EqualValues(t, count, sum)
		require.EqualValues(t, count, s.Starts)
		require.LessOrEqual(t, len(s.Ends), 16*64+1)
		require.NotZero(t, s.Ends[engine.ReasonOther])
		require.Zero(t, s.Sessions)
	})
}
