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
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// addKept is add for a member whose sessions have standbys.
func (m *members) addKept(t testing.TB, name string, boot uint64, delay time.Duration, s *bank) (*local, *standbys) {
	s.kind.Replicas = 1
	keeps := &standbys{t: t, delay: delay, inFlight: map[string]*engine.Record{}, durable: map[string]engine.Record{}}
	l := m.add(t, name, boot, s.make(), func(cfg *engine.TableConfig) { cfg.Standbys = keeps })
	keeps.table = l.table
	return l, keeps
}

func TestWorkBeginsWhenStandbysKnowOfIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var began atomic.Int64
		begun := time.Now()
		s := &bank{work: func(context.Context, string) (string, error) { began.Store(int64(time.Since(begun))); return "", nil }}
		l, _ := new(members).addKept(t, "a", 1, 100*time.Millisecond, s)
		l.startBuyer(t, "ann")
		require.NoError(t, l.buy(t, "ann", purchase{Name: "pay"}))
		time.Sleep(time.Second)
		require.EqualValues(t, 200*time.Millisecond, began.Load())
	})
}

func TestWorkDoesNotRunThatNoStandbyKnowsOf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ran := false
		s := &bank{work: func(context.Context, string) (string, error) { ran = true; return "", nil }}
		l, keeps := new(members).addKept(t, "a", 1, 0, s)
		l.startBuyer(t, "ann")
		fails := true
		keeps.set(0, func(*engine.Record) error {
			if fails {
				fails = false
				return sessionproc.ErrUnavailable
			}
			return nil
		})
		require.ErrorIs(t, l.buy(t, "ann", purchase{Name: "pay"}), sessionproc.ErrUnavailable)
		time.Sleep(time.Second)
		l.requireBought(t, "ann", "pay: unavailable")
		require.False(t, ran)
	})
}

// At whatever moment the node of a session with standbys is killed, exactly one result comes to the state,
// and the work of a task that may run again has run at least once.
func TestAKillLosesNoResult(t *testing.T) {
	for _, retry := range []bool{false, true} {
		for at := 50 * time.Millisecond; at < 3*time.Second; at += 100 * time.Millisecond {
			t.Run(fmt.Sprint("retry ", retry, " after ", at), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var runs atomic.Int64
					s := &bank{work: func(ctx context.Context, item string) (string, error) {
						v, err := takes(time.Second)(ctx, item)
						if err == nil {
							runs.Add(1)
						}
						return v, err
					}, receipt: func(context.Context, sessionproc.Result[string]) error {
						time.Sleep(500 * time.Millisecond) // the handler of the result is killed, too
						return nil
					}}
					m := new(members)
					a, keeps := m.addKept(t, "a", 1, 100*time.Millisecond, s)
					b, _ := m.addKept(t, "b", 2, 100*time.Millisecond, s)
					a.startBuyer(t, "ann")
					answered := make(chan error, 1)
					go func() {
						_, err := buy.Call(t.Context(), a, "ann", purchase{Name: "pay", Item: "tea", Retry: retry})
						answered <- err
					}()
					time.Sleep(at)
					kept := keeps.lastOf("ann")
					acknowledged := false
					select {
					case err := <-answered:
						require.NoError(t, err)
						acknowledged = true
					default:
					}
					m.remove("a")
					require.NoError(t, a.table.Close(t.Context()))
					ran := runs.Load()
					promoteFrom(t, b, "ann", engine.Copy{Body: kept.Body})
					time.Sleep(10 * time.Second)
					got, err := bought.Call(t.Context(), b, "ann", sessionproc.None{})
					require.NoError(t, err)
					switch {
					case !acknowledged && len(got) == 0:
						require.Zero(t, ran, "work has run of which its session does not know")
					case retry:
						require.Equal(t, []string{"pay: tea"}, got)
						require.NotZero(t, runs.Load())
					case got[0] == "pay: tea":
						require.EqualValues(t, 1, ran)
						require.Len(t, got, 1)
					default:
						require.Equal(t, []string{"pay: lost"}, got)
					}
				})
			})
		}
	}
}

// A session that goes on elsewhere, although its node lives, gets the result of the work that runs there.
func TestAFencedSessionGetsItsResultsElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var runs atomic.Int64
		s := &bank{work: func(ctx context.Context, item string) (string, error) {
			runs.Add(1)
			return takes(3*time.Second)(ctx, item)
		}}
		m := new(members)
		a, keeps := m.addKept(t, "a", 1, 0, s)
		b, _ := m.addKept(t, "b", 2, 0, s)
		a.startBuyer(t, "ann")
		require.NoError(t, a.buy(t, "ann", purchase{Name: "pay", Item: "tea", Retry: true}))
		time.Sleep(time.Second)
		promoteFrom(t, b, "ann", engine.Copy{Body: keeps.lastOf("ann").Body})
		keeps.set(0, func(*engine.Record) error { return engine.ErrFenced })
		require.Error(t, a.buy(t, "ann", purchase{Name: "other"}))
		synctest.Wait()
		require.Zero(t, a.table.Len())
		time.Sleep(3 * time.Second)
		b.requireBought(t, "ann", "pay: tea")
		require.EqualValues(t, 1, runs.Load())
		time.Sleep(time.Second)
		n, _ := a.table.Tasks()
		require.Zero(t, n)
	})
}
