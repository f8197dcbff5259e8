package node_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// birdsWith is newBirds with a schema.
func birdsWith(b birdKind, schema int) sessionproc.AnyKind {
	start := startsAs[bird]
	k := sessionproc.NewKind(b.ref, start, sessionproc.KindConfig{Schema: schema})
	sessionproc.HandleCall(k, b.shout, func(s *bird, ctx context.Context, n int) (int, error) {
		s.Said = append(s.Said, n)
		return len(s.Said), b.cries.Publish(ctx, n)
	})
	sessionproc.HandleEvent(k, b.cries, func(s *bird) int { return -len(s.Said) })
	return k
}

// A caged bird cannot be encoded, one with a ring contains itself, and a fat one is too large.
type (
	caged  struct{ bird }
	ringed struct {
		bird
		Ring *ringed
	}
	fat struct{ bird }
)

func (c *caged) MarshalState() ([]byte, error) { return nil, errors.New("caged") }
func (c *caged) UnmarshalState([]byte) error   { return nil }

func birdsThatStay[S any](b birdKind, of func(*S) *bird) sessionproc.AnyKind {
	start := startsAs[S]
	k := sessionproc.NewKind(b.ref, start, sessionproc.KindConfig{MaxState: 2})
	sessionproc.HandleCall(k, b.shout, func(s *S, ctx context.Context, n int) (int, error) {
		of(s).Said = append(of(s).Said, n)
		return len(of(s).Said), b.cries.Publish(ctx, n)
	})
	sessionproc.HandleEvent(k, b.cries, func(s *S) int { return -len(of(s).Said) })
	return k
}

func cagedBirds(b birdKind) func() sessionproc.AnyKind {
	return func() sessionproc.AnyKind { return birdsThatStay(b, func(c *caged) *bird { return &c.bird }) }
}

func ringedBirds(b birdKind) func() sessionproc.AnyKind {
	return func() sessionproc.AnyKind {
		return birdsThatStay(b, func(r *ringed) *bird {
			r.Ring = r
			return &r.bird
		})
	}
}

func fatBirds(b birdKind) func() sessionproc.AnyKind {
	return func() sessionproc.AnyKind { return birdsThatStay(b, func(f *fat) *bird { return &f.bird }) }
}

// Two copies of a session meet when a cut heals, where the owner cannot have both, as it
// was not given a kind or has a lower schema, or as one cannot be encoded. One of them goes on all the same, by the
// same rule, where it can live, and the other one ends with a conflict: there are never
// two processes under an ID.
func TestOneOfTwoCopiesGoesOnWhereTheOwnerCannotHaveBoth(t *testing.T) {
	type given func() sessionproc.AnyKind
	only := func(b birdKind, schema int) given { return func() sessionproc.AnyKind { return birdsWith(b, schema) } }
	cases := map[string]struct {
		kinds  [3]given // of the owner, and of two others
		at     [2]int   // where the copies are
		second birdKind // the first one is a crow
	}{
		"the owner has one":           {[3]given{only(crow, 0), only(crow, 0), only(dove, 0)}, [2]int{0, 2}, dove},
		"the owner can have one":      {[3]given{only(crow, 0), only(crow, 0), only(dove, 0)}, [2]int{1, 2}, dove},
		"the owner can have none":     {[3]given{newFans, only(crow, 0), only(dove, 0)}, [2]int{1, 2}, dove},
		"a lower schema":              {[3]given{only(crow, 1), only(crow, 1), only(crow, 2)}, [2]int{0, 2}, crow},
		"a lower schema than of both": {[3]given{only(crow, 1), only(crow, 2), only(crow, 2)}, [2]int{1, 2}, crow},
		"one is not encoded":          {[3]given{only(crow, 0), only(crow, 0), cagedBirds(crow)}, [2]int{0, 2}, crow},
		"neither is encoded":          {[3]given{cagedBirds(crow), only(crow, 0), cagedBirds(crow)}, [2]int{0, 2}, crow},
		"the owner's is not":          {[3]given{fatBirds(crow), only(crow, 0), only(crow, 0)}, [2]int{0, 2}, crow},
		"neither is, both elsewhere":  {[3]given{only(crow, 0), cagedBirds(crow), fatBirds(crow)}, [2]int{1, 2}, crow},
		"one elsewhere is not":        {[3]given{only(crow, 0), only(crow, 0), fatBirds(crow)}, [2]int{1, 2}, crow},
		"one of another kind is not":  {[3]given{only(crow, 0), only(crow, 0), cagedBirds(dove)}, [2]int{0, 2}, dove},
		"the owner has no such kind":  {[3]given{newFans, cagedBirds(crow), fatBirds(crow)}, [2]int{1, 2}, crow},
		"one contains itself":         {[3]given{only(crow, 0), only(crow, 0), ringedBirds(crow)}, [2]int{0, 2}, crow},
	}
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		for later := range 2 { // which copy has the higher incarnation
			if testing.Short() && i%6 != 3*later {
				continue
			}
			t.Run(fmt.Sprintf("%s, %d", name, later), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tune := func(i int, cfg *node.Config) { cfg.Kinds = []sessionproc.AnyKind{c.kinds[i]()} }
					cluster := tuned(t, 3, tune)
					time.Sleep(2 * time.Second)
					r := &rivals{t: t, c: cluster, at: c.at, kinds: [2]birdKind{crow, c.second}, winner: later}
					for range 5 {
						r.ids = append(r.ids, idAt(cluster, 0))
					}
					cluster.Isolate(0)
					cluster.Isolate(1)
					cluster.Settle()
					r.begin()
					cluster.Heal()
					cluster.Settle()
					time.Sleep(30 * time.Second)
					r.check()
				})
			})
		}
	}
}

// rivals is a test of copies of which one is to go on.
type rivals struct {
	t         *testing.T
	c         *nodetest.Cluster
	at        [2]int
	kinds     [2]birdKind
	winner    int
	ids       []string
	listeners [2][]*listener
}

func (r *rivals) begin() {
	t := r.t
	for range 20 { // the numbers of incarnations
		id := sessionproc.NewID()
		require.NoError(t, r.kinds[r.winner].ref.Start(t.Context(), r.c.Node(r.at[r.winner]), id, sessionproc.None{}))
		require.NoError(t, r.c.Node(r.at[r.winner]).Terminate(t.Context(), id))
	}
	for i, b := range r.kinds {
		for _, id := range r.ids {
			require.NoError(t, b.ref.Start(t.Context(), r.c.Node(r.at[i]), id, sessionproc.None{}))
			_, err := b.shout.Call(t.Context(), r.c.Node(r.at[i]), id, 10+i)
			require.NoError(t, err)
			r.listeners[i] = append(r.listeners[i], b.listen(t, r.c, r.at[i], id))
		}
	}
}

func (r *rivals) check() {
	t := r.t
	sessions := 0
	for i := range 3 {
		sessions += r.c.Node(i).Sessions()
	}
	require.Equal(t, len(r.ids), sessions)
	for _, id := range r.ids {
		said, err := r.kinds[r.winner].shout.Call(t.Context(), r.c.Node(1), id, 99)
		require.NoError(t, err)
		require.Equal(t, 2, said, "it has its state")
	}
	time.Sleep(time.Second)
	for i := range r.listeners {
		for _, l := range r.listeners[i] {
			last, err := l.heard()
			if i == r.winner {
				require.NoError(t, err)
				require.Equal(t, 99, last)
			} else {
				var end *sessionproc.Ended
				require.True(t, errors.As(err, &end), "a listener to what has ended gets %v", err)
				require.Equal(t, sessionproc.ReasonConflict, end.Reason)
			}
		}
	}
	stats, err := r.c.Node(0).Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(r.ids), stats.Total.Conflicts)
	for _, id := range r.ids {
		require.NoError(t, r.c.Node(1).Terminate(t.Context(), id))
	}
}
