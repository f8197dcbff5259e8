package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Wherever the session goes while a task runs, the result comes to it once, and its runner forgets it.
func TestResultsFollowTheirSession(t *testing.T) {
	for name, way := range map[string]func(t *testing.T, a, b *local) (at *local, id string){
		"moved": func(t *testing.T, a, b *local) (*local, string) {
			travel(t, a, b, "ann")
			return b, "ann"
		},
		"moved and back": func(t *testing.T, a, b *local) (*local, string) {
			travel(t, a, b, "ann")
			time.Sleep(time.Second)
			travel(t, b, a, "ann")
			return a, "ann"
		},
		"renewed": func(t *testing.T, a, _ *local) (*local, string) {
			require.NoError(t, a.renew(t.Context(), "ann", "new"))
			return a, "new"
		},
		"renewed and moved": func(t *testing.T, a, b *local) (*local, string) {
			require.NoError(t, a.renew(t.Context(), "ann", "new"))
			travel(t, a, b, "new")
			return b, "new"
		},
		"sealed and resumed": func(t *testing.T, a, _ *local) (*local, string) {
			_, err := take(t, a, "ann")
			require.NoError(t, err)
			time.Sleep(4 * time.Second)
			a.table.Resume(part("ann"), "ann")
			return a, "ann"
		},
		"restarted": func(t *testing.T, a, _ *local) (*local, string) {
			require.ErrorIs(t, a.buy(t, "ann", purchase{Name: "x", Crash: true}), sessionproc.ErrCrashed)
			return a, "ann"
		},
		"moved with the result in its mailbox": func(t *testing.T, a, b *local) (*local, string) {
			a.table.Pause(sessionproc.ErrNoQuorum)
			time.Sleep(4 * time.Second)
			travel(t, a, b, "ann")
			a.table.Unpause()
			return b, "ann"
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var runs atomic.Int64
				s := &bank{kind: sessionproc.KindConfig{Restart: sessionproc.RestartLastState},
					work: func(ctx context.Context, item string) (string, error) {
						runs.Add(1)
						return takes(3*time.Second)(ctx, item)
					}}
				m := new(members)
				a, b := m.add(t, "a", 1, s.make()), m.add(t, "b", 2, s.make())
				a.startBuyer(t, "ann")
				require.NoError(t, a.buy(t, "ann", purchase{Name: "pay", Item: "tea"}))
				require.NoError(t, a.buy(t, "ann", purchase{Name: "again", Item: "cake", Retry: true}))
				synctest.Wait()
				at, id := way(t, a, b)
				time.Sleep(4 * time.Second)
				got, err := bought.Call(t.Context(), at, id, sessionproc.None{})
				require.NoError(t, err)
				require.ElementsMatch(t, []string{"pay: tea", "again: cake"}, got)
				require.EqualValues(t, 2, runs.Load())
				for _, l := range []*local{a, b} {
					n, _ := l.table.Tasks()
					require.Zero(t, n, "a runner keeps what is over")
				}
			})
		})
	}
}

// takes the session away from a without a word, as a crash of a does.
func crash(t *testing.T, m *members, name string, snapshot []byte, to *local, id string) {
	m.remove(name)
	require.NoError(t, land(to, id, snapshot))
}

func TestTasksOfALostNode(t *testing.T) {
	for _, retry := range []bool{false, true} {
		t.Run(fmt.Sprint("retry ", retry), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				keys := make(chan string, 2)
				s := &bank{work: func(ctx context.Context, item string) (string, error) {
					keys <- sessionproc.TaskFromContext(ctx).Key()
					return takes(3*time.Second)(ctx, item)
				}}
				if !retry {
					s.work = takes(3 * time.Second)
				}
				m := new(members)
				a, b := m.add(t, "a", 1, s.make()), m.add(t, "b", 2, s.make())
				a.startBuyer(t, "ann")
				require.NoError(t, a.buy(t, "ann", purchase{Name: "pay", Item: "tea", Retry: retry}))
				snapshot, err := take(t, a, "ann")
				require.NoError(t, err)
				crash(t, m, "a", snapshot, b, "ann")
				time.Sleep(2 * time.Second)
				if retry {
					b.requireBought(t, "ann")
					time.Sleep(3 * time.Second)
					b.requireBought(t, "ann", "pay: tea")
					require.Len(t, keys, 2)
					require.Equal(t, <-keys, <-keys, "the key of all runs")
				} else {
					b.requireBought(t, "ann", "pay: lost")
				}
				time.Sleep(time.Minute) // a gives its run up
			})
		})
	}
}

func TestATaskThatEndsItsNodesRunsAFewTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var runs atomic.Int64
		s := &bank{work: func(ctx context.Context, item string) (string, error) {
			runs.Add(1)
			return takes(time.Hour)(ctx, item)
		}}
		m := new(members)
		at := m.add(t, "0", 1, s.make())
		at.startBuyer(t, "ann")
		require.NoError(t, at.buy(t, "ann", purchase{Name: "pay", Item: "tea", Retry: true, Limit: time.Hour}))
		for i := range 5 {
			snapshot, err := take(t, at, "ann")
			require.NoError(t, err)
			next := m.add(t, fmt.Sprint(i+1), uint64(i+2), s.make())
			crash(t, m, fmt.Sprint(i), snapshot, next, "ann")
			time.Sleep(2 * time.Second)
			at = next
		}
		at.requireBought(t, "ann", "pay: lost")
		require.EqualValues(t, 5, runs.Load())
	})
}

func TestARunnerGivesUpWhatNobodyAsksFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ended atomic.Bool
		s := &bank{work: func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			ended.Store(true)
			return "", ctx.Err()
		}}
		m := new(members)
		a := m.add(t, "a", 1, s.make())
		a.startBuyer(t, "ann")
		require.NoError(t, a.buy(t, "ann", purchase{Name: "pay", Limit: time.Hour}))
		_, err := take(t, a, "ann")
		require.NoError(t, err)
		a.table.Forget(part("ann"), "ann", nil)() // its target is lost
		time.Sleep(50 * time.Second)
		require.False(t, ended.Load())
		time.Sleep(20 * time.Second)
		require.True(t, ended.Load())
	})
}

func TestATaskOfAMovedSessionIsCancelledFromThere(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *local){
		"CancelTask": func(t *testing.T, b *local) {
			was, err := desist.Call(t.Context(), b, "ann", "pay")
			require.NoError(t, err)
			require.True(t, was)
		},
		"Terminate": func(t *testing.T, b *local) { require.NoError(t, b.terminate(t.Context(), "ann")) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var ended atomic.Bool
				s := &bank{work: func(ctx context.Context, _ string) (string, error) {
					<-ctx.Done()
					ended.Store(true)
					return "", ctx.Err()
				}}
				m := new(members)
				a, b := m.add(t, "a", 1, s.make()), m.add(t, "b", 2, s.make())
				a.startBuyer(t, "ann")
				require.NoError(t, a.buy(t, "ann", purchase{Name: "pay", Limit: time.Hour}))
				travel(t, a, b, "ann")
				time.Sleep(time.Second)
				require.False(t, ended.Load())
				end(t, b)
				time.Sleep(time.Second)
				require.True(t, ended.Load())
			})
		})
	}
}

// A release without tasks knows no Tasks in a snapshot, and takes the cast of each for one of a user: there
// the task is lost.
func TestATaskIsLostInAnEarlierRelease(t *testing.T) {
	for _, came := range []bool{false, true} {
		t.Run(fmt.Sprint("came ", came), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := new(members)
				s := &bank{work: takes(time.Second)}
				a, b := m.add(t, "a", 1, s.make()), m.add(t, "b", 2, s.make())
				a.startBuyer(t, "ann")
				require.NoError(t, a.buy(t, "ann", purchase{Name: "pay", Item: "tea"}))
				want := "pay: lost"
				if came {
					a.table.Pause(sessionproc.ErrNoQuorum)
					time.Sleep(2 * time.Second)
					want = "pay: tea"
				}
				snapshot, err := take(t, a, "ann")
				require.NoError(t, err)
				require.NoError(t, land(b, "ann", edited(t, snapshot, map[string]any{"Tasks": nil})))
				a.table.Forget(part("ann"), "ann", nil)()
				a.table.Unpause()
				b.requireBought(t, "ann", want)
				time.Sleep(time.Minute)
				b.requireBought(t, "ann", want)
			})
		})
	}
}
