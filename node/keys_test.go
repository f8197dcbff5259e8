package node_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A till counts how often its handlers have run.
var (
	tills   = sessionproc.KindOf[sessionproc.None]("till")
	sell    = sessionproc.MethodOf[sale, receipt](tills, "sell")
	refuse  = sessionproc.MethodOf[int, int](tills, "refuse")
	soldOut = sessionproc.NewError("sold_out", "sold out")
	ticket  = sessionproc.MethodOf[int, string](tills, "print")
	sales   = sessionproc.MethodOf[int, int](tills, "sales")
	wait    = sessionproc.MethodOf[time.Duration, int](tills, "wait")
	smash   = sessionproc.MethodOf[int, int](tills, "break")
	relay   = sessionproc.MethodOf[[]string, int](tills, "relay")
	noted   = sessionproc.NoticeOf[int](tills, "noted")
)

type sale struct {
	Item string
	N    int
	Tags map[string]string
}

type receipt struct {
	Runs  int
	Items []string
}

type till struct {
	Runs, Breaks int
	Items        []string
}

func newTills(cfg sessionproc.KindConfig) func() sessionproc.AnyKind {
	return func() sessionproc.AnyKind {
		k := sessionproc.NewKind(tills, func(context.Context, sessionproc.None) (*till, error) { return &till{}, nil }, cfg)
		sessionproc.HandleCall(k, sell, func(s *till, _ context.Context, r sale) (receipt, error) {
			s.Runs++
			s.Items = append(s.Items, r.Item)
			return receipt{s.Runs, s.Items}, nil
		})
		sessionproc.HandleCall(k, refuse, func(s *till, _ context.Context, n int) (int, error) {
			if s.Runs++; n == 1 {
				return 0, errors.New("no")
			}
			return 0, soldOut
		})
		sessionproc.HandleCall(k, ticket, func(s *till, _ context.Context, n int) (string, error) {
			s.Runs++
			return strings.Repeat("x", n), nil
		})
		sessionproc.HandleCall(k, sales, func(s *till, _ context.Context, _ int) (int, error) { return s.Runs, nil },
			sessionproc.MethodConfig{ReadOnly: true})
		sessionproc.HandleCall(k, wait, func(s *till, ctx context.Context, d time.Duration) (int, error) {
			s.Runs++
			select {
			case <-time.After(d):
				return s.Runs, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		sessionproc.HandleCall(k, smash, func(s *till, _ context.Context, n int) (int, error) { return s.breaks(n), nil })
		sessionproc.HandleCall(k, relay, func(s *till, ctx context.Context, to []string) (int, error) {
			return s.relay(ctx, to)
		})
		sessionproc.HandleCast(k, noted, func(s *till, _ context.Context, _ int) error { s.Runs++; return nil })
		return k
	}
}

var broken atomic.Bool // the next breaks panics

func (s *till) breaks(n int) int {
	if s.Runs++; broken.Swap(false) {
		panic("it breaks")
	}
	return s.Runs
}

// relay sells something at other tills, and crashes afterwards if it is told to.
func (s *till) relay(ctx context.Context, to []string) (sum int, err error) {
	c := sessionproc.FromContext(ctx).Cluster()
	for i, id := range to {
		r, err := sell.Call(ctx, c, id, sale{N: i})
		if err != nil {
			return 0, err
		}
		sum += r.Runs
	}
	s.Runs++
	if broken.Swap(false) {
		panic("it breaks")
	}
	return sum, nil
}

// betweenCalls is what happens to a session between calls with one key. It returns the session's ID.
var betweenCalls = map[string]func(ctx context.Context, t *testing.T, c *nodetest.Cluster, id string) string{
	"at once": func(_ context.Context, _ *testing.T, _ *nodetest.Cluster, id string) string { return id },
	"moved": func(_ context.Context, _ *testing.T, c *nodetest.Cluster, id string) string {
		c.Drain(c.Owner(id))
		return id
	},
	"moved twice": func(_ context.Context, _ *testing.T, c *nodetest.Cluster, id string) string {
		c.Drain(c.Owner(id))
		c.Add()
		c.Settle()
		c.Drain(c.Owner(id))
		return id
	},
	"renewed": func(ctx context.Context, t *testing.T, c *nodetest.Cluster, id string) string {
		newID, err := c.Node(0).Renew(ctx, id)
		require.NoError(t, err)
		return newID
	},
	"renewed, under the old ID": func(ctx context.Context, t *testing.T, c *nodetest.Cluster, id string) string {
		_, err := c.Node(0).Renew(ctx, id)
		require.NoError(t, err)
		return id
	},
	"renewed, under the old ID, which has moved": func(ctx context.Context, t *testing.T, c *nodetest.Cluster,
		id string) string {
		_, err := c.Node(0).Renew(ctx, id)
		require.NoError(t, err)
		c.Drain(c.Owner(id))
		return id
	},
	"restarted with its last state": func(ctx context.Context, t *testing.T, c *nodetest.Cluster, id string) string {
		broken.Store(true)
		_, err := smash.Call(ctx, c.Node(0), id, 1)
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		return id
	},
}

// Of calls with one key the handler runs for the first, whatever happens to the session in between.
func TestCallsWithOneKeyRunOnce(t *testing.T) {
	for name, between := range betweenCalls {
		for owner, place := range []string{"here", "at another node"} {
			t.Run(name+", "+place, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := nodetest.NewCluster(t, 3, newTills(sessionproc.KindConfig{Restart: sessionproc.RestartLastState}))
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					id := idAt(c, owner)
					now := callAgain(ctx, t, c, id, func() string { return between(ctx, t, c, id) })
					if strings.HasPrefix(name, "renewed, under the old ID") {
						_, err := sell.Call(sessionproc.WithKey(ctx, "other"), c.Caller(), now, sale{})
						require.ErrorIs(t, err, sessionproc.ErrRenewed)
						return
					}
					for _, runs := range []int{3, 4} { // a read is made each time
						n, err := sales.Call(sessionproc.WithKey(ctx, "k1"), c.Caller(), now, 0)
						require.NoError(t, err)
						require.Equal(t, runs, n)
						_, err = sell.Call(sessionproc.WithKey(ctx, "k3"), c.Caller(), now, sale{})
						require.NoError(t, err)
					}
				})
			})
		}
	}
}

// callAgain makes calls with keys, and the same again under the ID that between returns.
func callAgain(ctx context.Context, t *testing.T, c *nodetest.Cluster, id string, between func() string) (now string) {
	require.NoError(t, tills.Start(ctx, c.Node(0), id, sessionproc.None{}))
	keyed := sessionproc.WithKey(ctx, "k1")
	request := sale{Item: "a", N: 1, Tags: map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}}
	first, err := sell.Call(keyed, c.Node(0), id, request)
	require.NoError(t, err)
	_, err = refuse.Call(keyed, c.Node(0), id, 2)
	require.ErrorIs(t, err, soldOut)
	_, err = refuse.Call(sessionproc.WithKey(ctx, "k2"), c.Node(0), id, 1)
	require.EqualError(t, errors.Unwrap(err), "no")

	now = between()
	for range 3 {
		again, err := sell.Call(keyed, c.Caller(), now, request)
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
	_, err = sell.Call(keyed, c.Caller(), now, sale{Item: "b"})
	require.ErrorIs(t, err, sessionproc.ErrKeyReused)
	require.False(t, sessionproc.MaybeExecuted(err))
	_, err = refuse.Call(keyed, c.Caller(), now, 2)
	require.ErrorIs(t, err, soldOut)
	require.True(t, sessionproc.MaybeExecuted(err))
	_, err = refuse.Call(sessionproc.WithKey(ctx, "k2"), c.Caller(), now, 1)
	require.EqualError(t, errors.Unwrap(err), "no")
	return now
}

// A call with the key of one that runs waits for that, whoever waits for the first.
func TestACallWaitsForTheOneWithItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newTills(sessionproc.KindConfig{}))
		ctx := sessionproc.WithKey(t.Context(), "k")
		for _, owner := range []int{0, 1} {
			id := idAt(c, owner)
			require.NoError(t, tills.Start(ctx, c.Node(0), id, sessionproc.None{}))
			results := make(chan int, 4)
			for i := range cap(results) {
				go func() {
					n, err := wait.Call(ctx, c.Node(i%3), id, 2*time.Second)
					require.NoError(t, err)
					results <- n
				}()
			}
			for range cap(results) {
				require.Equal(t, 1, <-results)
			}
		}
	})
}

// A handler that gives up with its caller has not replied.
func TestACallThatGaveUpIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newTills(sessionproc.KindConfig{}))
		for _, owner := range []int{0, 1} {
			id := idAt(c, owner)
			require.NoError(t, tills.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
			keyed := sessionproc.WithKey(t.Context(), "k")
			short, cancel := context.WithTimeout(keyed, time.Second)
			_, err := wait.Call(short, c.Node(0), id, 5*time.Second)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			n, err := wait.Call(keyed, c.Node(0), id, 5*time.Second)
			require.NoError(t, err)
			require.Equal(t, 2, n)
		}
	})
}

// What a session remembers has bounds: their number, their size, and their time.
func TestRepliesToKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newTills(sessionproc.KindConfig{Dedup: 3, IdleTimeout: time.Hour}))
		ctx := t.Context()
		for _, owner := range []int{0, 1} {
			id := idAt(c, owner)
			require.NoError(t, tills.Start(ctx, c.Node(0), id, sessionproc.None{}))
			runs := func(key string) int {
				r, err := sell.Call(sessionproc.WithKey(ctx, key), c.Node(0), id, sale{})
				require.NoError(t, err)
				return r.Runs
			}
			for i, key := range []string{"a", "b", "c", "d"} {
				require.Equal(t, i+1, runs(key))
			}
			require.Equal(t, 2, runs("b"))
			require.Equal(t, 5, runs("a"), "it was the oldest of four")

			time.Sleep(time.Minute)
			require.Equal(t, 5, runs("a"))
			time.Sleep(time.Minute + 2*time.Second)
			require.Equal(t, 6, runs("a"), "its time was over")

			_, err := ticket.Call(sessionproc.WithKey(ctx, "p"), c.Node(0), id, 1<<10-3)
			require.NoError(t, err)
			_, err = ticket.Call(sessionproc.WithKey(ctx, "p"), c.Node(0), id, 1<<10-3)
			require.NoError(t, err)
			_, err = ticket.Call(sessionproc.WithKey(ctx, "q"), c.Node(0), id, 1<<10)
			require.NoError(t, err)
			_, err = ticket.Call(sessionproc.WithKey(ctx, "q"), c.Node(0), id, 1<<10)
			require.ErrorIs(t, err, sessionproc.ErrReplied)
			require.True(t, sessionproc.MaybeExecuted(err))
		}
	})
}

// A kind without a memory for replies refuses keys, here and elsewhere, and not those that a handler
// with a key of its own has made.
func TestAKindWithoutDedupRefusesKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newTills(sessionproc.KindConfig{Dedup: -1}))
		ctx := t.Context()
		for _, owner := range []int{0, 1} {
			id := idAt(c, owner)
			require.NoError(t, tills.Start(ctx, c.Node(0), id, sessionproc.None{}))
			keyed := sessionproc.WithKey(ctx, "k")
			for _, err := range []error{
				second(sell.Call(keyed, c.Node(0), id, sale{})),
				c.Node(0).Deliver(keyed, id, engine.Untyped(engine.OpCall, "till", "sell", sale{}, nil)),
			} {
				require.ErrorIs(t, err, sessionproc.ErrUnsupported)
				require.ErrorContains(t, err, "Dedup")
				require.False(t, sessionproc.MaybeExecuted(err))
			}
			_, err := sales.Call(keyed, c.Node(0), id, 0)
			require.NoError(t, err)
			require.NoError(t, noted.Cast(keyed, c.Node(0), id, 0))
			_, err = sell.Call(sessionproc.WithKey(keyed, ""), c.Node(0), id, sale{})
			require.NoError(t, err, "an empty key is none")
		}
	})
}

func second[T any](_ T, err error) error { return err }

// A handler with a key crashes after it has made calls. When it runs again, these get the replies
// that they got before.
func TestCallsOfAKeyedHandlerRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newTills(sessionproc.KindConfig{Restart: sessionproc.RestartLastState}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		id, here, there := idAt(c, 1), idAt(c, 0), idAt(c, 2)
		for _, one := range []string{id, here, there} {
			require.NoError(t, tills.Start(ctx, c.Node(0), one, sessionproc.None{}))
		}
		keyed := sessionproc.WithKey(ctx, "k")
		to := []string{here, there, here}
		broken.Store(true)
		_, err := relay.Call(keyed, c.Node(0), id, to)
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		for range 2 {
			sum, err := relay.Call(keyed, c.Node(0), id, to)
			require.NoError(t, err)
			require.Equal(t, 1+1+2, sum)
		}
		for one, want := range map[string]int{id: 1, here: 2, there: 1} {
			runs, err := sales.Call(ctx, c.Node(0), one, 0)
			require.NoError(t, err)
			require.Equal(t, want, runs)
		}
	})
}

// A restart with RestartFresh forgets what was done, and so does the end of a session.
func TestAFreshSessionForgetsItsReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newTills(sessionproc.KindConfig{Restart: sessionproc.RestartFresh}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, owner := range []int{0, 1} {
			id := idAt(c, owner)
			keyed := sessionproc.WithKey(ctx, "k")
			sold := func() {
				for range 2 {
					r, err := sell.Call(keyed, c.Node(0), id, sale{Item: "a"})
					require.NoError(t, err)
					require.Equal(t, receipt{1, []string{"a"}}, r)
				}
				runs, err := sales.Call(ctx, c.Node(0), id, 0)
				require.NoError(t, err)
				require.Equal(t, 1, runs)
			}
			require.NoError(t, tills.Start(ctx, c.Node(0), id, sessionproc.None{}))
			sold()
			broken.Store(true)
			_, err := smash.Call(ctx, c.Node(0), id, 1)
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
			sold()
			require.NoError(t, c.Node(0).Terminate(ctx, id))
			require.NoError(t, tills.Start(ctx, c.Node(0), id, sessionproc.None{}))
			sold()
		}
	})
}
