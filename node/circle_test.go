package node_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// circles has handlers of sessions, at nodes, call the next session's each after a time,
// so that all wait for one another. It returns their errors.
func circles(t *testing.T, at []int, after []time.Duration) (errs []error, took time.Duration) {
	d := &deedsDone{errs: map[string]error{}, took: map[string]time.Duration{}}
	c := nodetest.NewCluster(t, 3, d.kind)
	time.Sleep(time.Second) // all know that all serve: no session moves, which would cut its handler short
	c.Settle()
	var ids []string
	for i, n := range at {
		ids = append(ids, ownedBy(c, n, fmt.Sprint("circle", i, "-")))
		require.NoError(t, mutuals.Start(t.Context(), c.Caller(), ids[i], deed{}))
	}
	var all sync.WaitGroup
	for i, id := range ids {
		next := ids[(i+1)%len(ids)]
		all.Go(func() {
			_, _ = mutualDo.Call(t.Context(), c.Node(0), id, deed{"Call", next, 50*time.Millisecond + after[i]})
		})
	}
	all.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		errs, took = append(errs, d.errs[id]), max(took, d.took[id])
	}
	return errs, took
}

// However many sessions call one another in a circle, on one node or more, and in
// whatever order: where one node sees it the handlers are told at once, and some of their
// calls go through; else their errors say what they have waited for.
func TestSessionsThatCallInACircleAreToldAtOnce(t *testing.T) {
	for name, at := range map[string][]int{
		"two here": {0, 0}, "two": {0, 1}, "three here": {0, 0, 0}, "two and one": {0, 0, 1}, "one and two": {0, 1, 1},
		"four here": {0, 0, 0, 0}, "three and one": {0, 1, 0, 0}, "nine here": {0, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		for _, apart := range []time.Duration{0, time.Microsecond, 20 * time.Millisecond} {
			for seed := range uint64(shorttest.Of(3, 1)) {
				t.Run(fmt.Sprint(name, " ", apart, " ", seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var after []time.Duration
						for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(len(at)) {
							after = append(after, time.Duration(i)*apart)
						}
						errs, took := circles(t, at, after)
						require.Less(t, took, time.Second)
						told := 0
						for _, err := range errs {
							if err != nil {
								require.ErrorIs(t, err, sessionproc.ErrCallCycle)
								require.NotErrorIs(t, err, context.Canceled)
								told++
							}
						}
						require.Positive(t, told)
						require.Less(t, told, len(errs), "%v", errs)
					})
				})
			}
		}
	}
}

// A circle of sessions that no node sees as a whole ends when time is over.
func TestACircleThatNoNodeSeesSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs, _ := circles(t, []int{0, 1, 2}, []time.Duration{0, time.Second, 2 * time.Second})
		require.ErrorIs(t, errs[0], context.DeadlineExceeded)
		require.ErrorContains(t, errs[0], "which ran for ")
		require.ErrorContains(t, errs[0], " and waited for session ")
	})
}

// Sessions whose handlers wait for one another, but not in a circle, get their answers,
// however busy all are and however often they do it.
func TestCallsThatMakeNoCircleGetTheirAnswers(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			d := &deedsDone{errs: map[string]error{}, took: map[string]time.Duration{}}
			c := nodetest.NewCluster(t, 2, d.kind)
			random := rand.New(rand.NewPCG(seed, 2))
			var ids []string
			for i := range 8 {
				ids = append(ids, ownedBy(c, random.IntN(2), fmt.Sprintf("s%d-", i)))
				require.NoError(t, mutuals.Start(t.Context(), c.Caller(), ids[i], deed{}))
			}
			var mu sync.Mutex
			var bad []error
			var all sync.WaitGroup
			for range 600 {
				i := random.IntN(len(ids) - 1)
				to := i + 1 + random.IntN(len(ids)-i-1) // in turns: each time the other way round
				after := time.Duration(random.IntN(300)) * time.Microsecond
				from, n := ids[i], random.IntN(2)
				all.Go(func() {
					_, err := mutualDo.Call(t.Context(), c.Node(n), from, deed{"Call", ids[to], after})
					d.mu.Lock()
					made := d.errs[from]
					d.mu.Unlock()
					if err = errors.Join(err, made); err != nil {
						mu.Lock()
						bad = append(bad, err)
						mu.Unlock()
					}
				})
				if random.IntN(30) == 0 { // all is answered, and then they call the other way round
					all.Wait()
					slices.Reverse(ids)
				}
			}
			all.Wait()
			require.Empty(t, bad)
		})
	}
}
