package engine_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Two copies of a session meet that have both begun a task since they parted: where OnMerge joins them the
// results of both come, and otherwise the task of the one that ends is cancelled. Each work has run once.
func TestTasksOfCopiesThatMeet(t *testing.T) {
	for name, merge := range map[string]func(*buyer, context.Context, *buyer) error{
		"merged":   func(*buyer, context.Context, *buyer) error { return nil },
		"conflict": func(*buyer, context.Context, *buyer) error { return errors.New("as it was told") },
	} {
		for _, higher := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var runs sync.Map
					var cancelled atomic.Int64
					s := &bank{merge: merge, work: func(ctx context.Context, item string) (string, error) {
						n, _ := runs.LoadOrStore(item, new(atomic.Int64))
						n.(*atomic.Int64).Add(1)
						v, err := takes(5*time.Second)(ctx, item)
						if err != nil {
							cancelled.Add(1)
						}
						return v, err
					}}
					m := new(members)
					a, b := m.add(t, "a", 1, s.make()), m.add(t, "b", 2, s.make())
					if higher { // the incarnation of the copy at b
						for range 3 {
							b.startBuyer(t, sessionproc.NewID())
						}
					}
					a.startBuyer(t, "a")
					require.NoError(t, a.buy(t, "a", purchase{Name: "before", Item: "of both"}))
					time.Sleep(time.Second)
					snapshot, err := take(t, a, "a")
					require.NoError(t, err)
					a.table.Resume(part("a"), "a")
					r, err := b.table.Restore(part("a"), "a", snapshot)
					require.NoError(t, err)
					r.Renew()
					require.NoError(t, r.Insert())
					require.NoError(t, a.buy(t, "a", purchase{Name: "there", Item: "of a"}))
					require.NoError(t, b.buy(t, "a", purchase{Name: "here", Item: "of b"}))
					time.Sleep(time.Second)
					meet(t, a, b)
					time.Sleep(10 * time.Second)
					got, err := bought.Call(t.Context(), a, "a", sessionproc.None{})
					require.NoError(t, err)
					for _, item := range []string{"of both", "of a", "of b"} {
						n, ran := runs.Load(item)
						require.True(t, ran)
						require.EqualValues(t, 1, n.(*atomic.Int64).Load())
					}
					require.Contains(t, got, "before: of both")
					if name == "merged" {
						require.Len(t, got, 3)
						require.Zero(t, cancelled.Load())
					} else {
						require.Len(t, got, 2)
						require.EqualValues(t, 1, cancelled.Load())
					}
					for _, l := range []*local{a, b} {
						n, _ := l.table.Tasks()
						require.Zero(t, n)
					}
				})
			})
		}
	}
}
