package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func TestResultComesAsMessage(t *testing.T) {
	for name, retry := range map[string]bool{"Go": false, "GoWith": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newBank(t, &bank{work: takes(3 * time.Second)})
				l.startBuyer(t, "ann")
				require.NoError(t, l.buy(t, "ann", purchase{Name: "pay", Item: "tea", Retry: retry}))
				time.Sleep(2 * time.Second)
				l.requireBought(t, "ann")
				time.Sleep(2 * time.Second)
				l.requireBought(t, "ann", "pay: tea")
				n, _ := l.table.Tasks()
				require.Zero(t, n, "what is over is kept")
			})
		})
	}
}

func TestErrorsOfTasksArriveAsWhatTheyAre(t *testing.T) {
	for want, work := range map[string]func(ctx context.Context, item string) (string, error){
		"declined": func(context.Context, string) (string, error) {
			return "", fmt.Errorf("the bank says: %w", errDeclined)
		},
		"gone": func(ctx context.Context, _ string) (string, error) {
			_, err := bought.Call(ctx, sessionproc.TaskFromContext(ctx).Cluster(), "nobody", sessionproc.None{})
			return "", err
		},
		"late":         func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() },
		"crashed":      func(context.Context, string) (string, error) { panic("no text of it arrives") },
		"failed: alas": func(context.Context, string) (string, error) { return "not this", errors.New("alas") },
		"failed: the error is a nil *engine_test.nilError, not nil": func(context.Context, string) (string, error) {
			return "", (*nilError)(nil)
		},
	} {
		t.Run(want, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newBank(t, &bank{work: work})
				l.startBuyer(t, "ann")
				require.NoError(t, l.buy(t, "ann", purchase{Name: "pay", Limit: time.Second}))
				time.Sleep(2 * time.Second)
				l.requireBought(t, "ann", "pay: "+want)
			})
		})
	}
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestGoexitOfATaskIsItsResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newBank(t, &bank{work: func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil }})
		l.startBuyer(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay"}))
		synctest.Wait()
		l.requireBought(t, "ann", "pay: crashed")
	})
}

func TestWorkThatDoesNotHeedItsEndHasAResultAllTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newBank(t, &bank{work: func(context.Context, string) (string, error) {
			time.Sleep(time.Hour)
			return "late", nil
		}})
		l.startBuyer(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay"}))
		time.Sleep(time.Minute + 500*time.Millisecond)
		l.requireBought(t, "ann")
		time.Sleep(time.Second) // StopTimeout
		l.requireBought(t, "ann", "pay: lost")
		time.Sleep(time.Hour)
		l.requireBought(t, "ann", "pay: lost")
	})
}

func TestOneTaskOfANameAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newBank(t, &bank{work: takes(time.Second)})
		l.startBuyer(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay", Item: "1", Begin: true}))
		require.ErrorIs(t, l.buy(t, "ann", purchase{Name: "pay", Item: "2"}), errBegin[sessionproc.ErrTaskRunning])
		require.NoError(t, l.buy(t, "ann", purchase{Name: "ship", Item: "3"}))
		time.Sleep(1500 * time.Millisecond)
		got, err := bought.Call(t.Context(), l, "ann", sessionproc.None{})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"pay: 1", "ship: 3"}, got)
		require.ErrorIs(t, l.buy(t, "ann", purchase{Name: "pay"}), errBegin[sessionproc.ErrTaskRunning],
			"the handler of the result has begun the next one")
		time.Sleep(time.Second)
		l.requireBought(t, "ann", append(got, "pay: 1")...)
	})
}

func TestTasksAreBounded(t *testing.T) {
	t.Run("of a session", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			l := newBank(t, &bank{work: takes(time.Second)})
			l.startBuyer(t, "ann")
			for i := range 16 {
				require.NoError(t, l.buy(t, "ann", purchase{Name: fmt.Sprint(i)}))
			}
			require.ErrorIs(t, l.buy(t, "ann", purchase{Name: "one more"}), errBegin[sessionproc.ErrTooManyTasks])
			time.Sleep(2 * time.Second)
			require.NoError(t, l.buy(t, "ann", purchase{Name: "one more"}))
		})
	})
	t.Run("of a node", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			l := newLocalWith(t, func(cfg *engine.TableConfig) { cfg.MaxTasks = 20 }, (&bank{work: takes(time.Second)}).make())
			l.startBuyer(t, "ann")
			l.startBuyer(t, "bob")
			for i := range 10 {
				require.NoError(t, l.buy(t, "ann", purchase{Name: fmt.Sprint(i)}))
				require.NoError(t, l.buy(t, "bob", purchase{Name: fmt.Sprint(i)}))
			}
			require.ErrorIs(t, l.buy(t, "bob", purchase{Name: "one more"}), errBegin[sessionproc.ErrTooManyTasks])
			time.Sleep(2 * time.Second)
			require.NoError(t, l.buy(t, "bob", purchase{Name: "one more"}))
		})
	})
}

func TestBegunWronglyATaskIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newBank(t, &bank{work: takes(time.Second)})
		l.startBuyer(t, "ann")
		require.ErrorContains(t, l.buy(t, "ann", purchase{}), "its name has 0 bytes; 1 to 64 are allowed")
		require.ErrorContains(t, l.buy(t, "ann", purchase{Name: strings.Repeat("x", 65)}), "65 bytes")
		require.ErrorContains(t, l.buy(t, "ann", purchase{Name: "pay", Limit: -1}), "TaskConfig.Limit is negative")
		require.ErrorContains(t, l.buy(t, "ann", purchase{Name: "pay", Item: strings.Repeat("x", 64<<10), Retry: true}),
			"with TaskConfig.Retry 65536 are allowed")
		n, _ := l.table.Tasks()
		require.Zero(t, n)
	})
}

func TestCancelledTaskHasNoResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ended error
		l := newBank(t, &bank{work: func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			ended = ctx.Err()
			return "", ended
		}})
		l.startBuyer(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay"}))
		was, err := desist.Call(t.Context(), l, "ann", "pay")
		require.NoError(t, err)
		require.True(t, was)
		synctest.Wait()
		require.ErrorIs(t, ended, context.Canceled)
		was, err = desist.Call(t.Context(), l, "ann", "pay")
		require.NoError(t, err)
		require.False(t, was, "the name is free")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay", Limit: time.Second}))
		time.Sleep(2 * time.Second)
		l.requireBought(t, "ann", "pay: late")
	})
}

func TestTasksEndWithTheirSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := 0
		l := newBank(t, &bank{work: func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			ended++
			return "", ctx.Err()
		}})
		l.startBuyer(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay"}))
		require.NoError(t, l.terminate(t.Context(), "ann"))
		synctest.Wait()
		require.Equal(t, 1, ended)
		n, _ := l.table.Tasks()
		require.Zero(t, n)
	})
}

func TestTasksOfACrashedHandlerDoNotRun(t *testing.T) {
	for _, policy := range []sessionproc.RestartPolicy{sessionproc.RestartNever, sessionproc.RestartLastState,
		sessionproc.RestartFresh} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ran := 0
				l := newBank(t, &bank{kind: sessionproc.KindConfig{Restart: policy},
					work: func(context.Context, string) (string, error) { ran++; return "", nil }})
				l.startBuyer(t, "ann")
				require.ErrorIs(t, l.buy(t, "ann", purchase{Name: "pay", Crash: true}), sessionproc.ErrCrashed)
				time.Sleep(time.Minute)
				require.Zero(t, ran)
				n, _ := l.table.Tasks()
				require.Zero(t, n)
			})
		})
	}
}

func TestTasksAndRestarts(t *testing.T) {
	for policy, want := range map[sessionproc.RestartPolicy][]string{
		sessionproc.RestartLastState: {"pay: tea"}, sessionproc.RestartFresh: nil} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newBank(t, &bank{kind: sessionproc.KindConfig{Restart: policy}, work: takes(time.Second)})
				l.startBuyer(t, "ann")
				require.NoError(t, l.buy(t, "ann", purchase{Name: "pay", Item: "tea"}))
				require.ErrorIs(t, l.buy(t, "ann", purchase{Name: "other", Crash: true}), sessionproc.ErrCrashed)
				time.Sleep(2 * time.Second)
				l.requireBought(t, "ann", want...)
				n, _ := l.table.Tasks()
				require.Zero(t, n)
				require.NoError(t, l.buy(t, "ann", purchase{Name: "pay", Item: "again"}), "the name is free")
			})
		})
	}
}

func TestACrashOfTheHandlerOfAResultLosesIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		crashes := true
		l := newBank(t, &bank{kind: sessionproc.KindConfig{Restart: sessionproc.RestartLastState}, work: takes(time.Second),
			receipt: func(context.Context, sessionproc.Result[string]) error {
				if crashes {
					crashes = false
					panic("as it was told")
				}
				return nil
			}})
		l.startBuyer(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay", Item: "tea"}))
		time.Sleep(2 * time.Second)
		l.requireBought(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay", Item: "cake"}), "the name is free")
		time.Sleep(2 * time.Second)
		l.requireBought(t, "ann", "pay: cake")
	})
}

func TestWorkHasNoSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var key string
		l := newBank(t, &bank{work: func(ctx context.Context, _ string) (string, error) {
			r := sessionproc.TaskFromContext(ctx)
			key = r.Key()
			r.Logger().Info("it logs")
			require.PanicsWithValue(t, "sessionproc: FromContext in a task: its work runs outside of the session and "+
				"cannot touch it; return a result, or cast to the session with TaskFromContext",
				func() { sessionproc.FromContext(ctx) })
			within, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			got, err := bought.Call(within, r.Cluster(), "ann", sessionproc.None{}) // its own session, which works meanwhile
			return fmt.Sprint(r.Name(), " has ", len(got)), err
		}})
		l.startBuyer(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay"}))
		synctest.Wait()
		l.requireBought(t, "ann", "pay: pay has 0")
		require.Len(t, key, 32)
	})
}

func TestACloseEndsTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		returned := false
		l := newBank(t, &bank{work: func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			returned = true
			return "", nil
		}})
		l.startBuyer(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay"}))
		synctest.Wait() // the work begins after the reply
		require.NoError(t, l.table.Close(t.Context()))
		require.True(t, returned, "Close waits for works as it does for handlers")
	})
}
