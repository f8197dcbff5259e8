package node_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A meter is a session with a standby that counts.
var (
	meters  = sessionproc.KindOf[sessionproc.None]("meter")
	advance = sessionproc.MethodOf[int, int](meters, "advance")
	counted = sessionproc.MethodOf[sessionproc.None, int](meters, "counted")
	pass    = sessionproc.MethodOf[string, int](meters, "pass") // counts here and at another meter
	burn    = sessionproc.MethodOf[sessionproc.None, int](meters, "burn")
	look    = sessionproc.MethodOf[sessionproc.None, int](meters, "look") // ReadOnly
)

type meter struct{ N int }

// newMeters makes the kind for a node. burns is called by the handlers of burn, look and pass, at their end.
func newMeters(burns func(ctx context.Context)) sessionproc.AnyKind {
	k := sessionproc.NewKind(meters, func(context.Context, sessionproc.None) (*meter, error) { return new(meter), nil },
		sessionproc.KindConfig{Replicas: 1})
	sessionproc.HandleCall(k, advance, func(m *meter, _ context.Context, n int) (int, error) {
		m.N += n
		return m.N, nil
	})
	sessionproc.HandleCall(k, counted, func(m *meter, _ context.Context, _ sessionproc.None) (int, error) {
		return m.N, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, pass, func(m *meter, ctx context.Context, to string) (int, error) {
		m.N++
		n, err := advance.Call(ctx, sessionproc.FromContext(ctx).Cluster(), to, 1)
		burns(ctx)
		return n, err
	})
	sessionproc.HandleCall(k, burn, func(m *meter, ctx context.Context, _ sessionproc.None) (int, error) {
		m.N++
		burns(ctx)
		return m.N, nil
	})
	sessionproc.HandleCall(k, look, func(m *meter, ctx context.Context, _ sessionproc.None) (int, error) {
		burns(ctx)
		return m.N, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	return k
}

// startMeters starts nodes and sessions with standbys.
func startMeters(t *testing.T, nodes, sessions int, burns func(i int, ctx context.Context)) *nodetest.Cluster {
	t.Helper()
	c := nodetest.Start(t, nodetest.Config{Nodes: nodes, Tune: func(i int, cfg *node.Config) {
		cfg.StandbyMemory = 1 << 30
		cfg.Kinds = []sessionproc.AnyKind{newMeters(func(ctx context.Context) { burns(i, ctx) })}
	}})
	c.Settle()
	for i := range sessions {
		require.NoError(t, meters.Start(t.Context(), c.Caller(), fmt.Sprint("m", i), sessionproc.None{}))
	}
	return c
}

func countedAt(t *testing.T, c *nodetest.Cluster, id string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := counted.Call(ctx, c.Caller(), id, sessionproc.None{})
	require.NoError(t, err, id)
	return n
}

// TestCrashesFailNoCall has callers at a node that stays, and kills the others in turn. Under the race detector
// it would take more than half of the package's time. Where tests are short, callers call less often.
func TestCrashesFailNoCall(t *testing.T) {
	pause, rounds := time.Duration(shorttest.Of(15, 40))*time.Millisecond, shorttest.Of(3, 1)
	for name, kill := range map[string]func(*nodetest.Cluster, int){
		"crash": (*nodetest.Cluster).Crash, "power off": (*nodetest.Cluster).PowerOff,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crashesFailNoCall(t, kill, pause, rounds) })
		})
	}
}

func crashesFailNoCall(t *testing.T, kill func(*nodetest.Cluster, int), pause time.Duration, rounds int) {
	const sessions, callers = 40, 40
	c := startMeters(t, 4, sessions, nil)
	made := make([]int, sessions)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	for i := range callers {
		wait.Go(func() {
			for turn := 0; ; turn++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(1+(i*7+turn*3)%10) * pause):
				}
				id := (i + turn) % sessions
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				_, err := advance.Call(ctx, c.Node(0), fmt.Sprint("m", id), 1)
				cancel()
				mu.Lock()
				if err != nil {
					if failed++; failed <= 5 {
						t.Errorf("%v (may have run: %v)", err, sessionproc.MaybeExecuted(err))
					}
				} else {
					made[id]++
				}
				mu.Unlock()
			}
		})
	}
	for round := range rounds {
		time.Sleep(5 * time.Second)
		kill(c, 1+round)
		time.Sleep(15 * time.Second)
		c.Restart(1 + round)
		c.Settle()
	}
	close(stop)
	wait.Wait()
	for i := range sessions {
		require.Equal(t, made[i], countedAt(t, c, fmt.Sprint("m", i)), "of session %d", i)
	}
	total := 0
	for _, n := range made {
		total += n
	}
	require.Greater(t, total, 1000)
}

// idOf returns the ID of a session with a standby that node i owns.
func idOf(t *testing.T, c *nodetest.Cluster, i, sessions int) string {
	t.Helper()
	for s := range sessions {
		if id := fmt.Sprint("m", s); c.Owner(id) == i {
			return id
		}
	}
	t.Fatalf("node %d owns none of %d sessions", i, sessions)
	return ""
}

// lost makes a call of a method of a session of node 1 from node 0, whose answer does not arrive, and has
// the node die when it has answered. It returns what comes of the call.
func lost(t *testing.T, c *nodetest.Cluster, call func(ctx context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c.Network().CutOneWay(c.Host(1), c.Host(0))
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	time.Sleep(200 * time.Millisecond)
	require.Empty(t, done)
	c.Network().Reset(c.Host(1), c.Host(0)) // what is under way is lost
	c.Crash(1)
	c.Heal()
	return <-done
}

// The change of a call is durable, and the answer is lost. The repeat gets the reply, and runs nothing.
func TestAReplyThatIsLostComesFromTheStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 60
		var runs atomic.Int32
		c := startMeters(t, 4, sessions, func(int, context.Context) { runs.Add(1) })
		id, reply := idOf(t, c, 1, sessions), 0
		require.NoError(t, lost(t, c, func(ctx context.Context) (err error) {
			reply, err = burn.Call(ctx, c.Node(0), id, sessionproc.None{})
			return err
		}))
		require.Equal(t, 1, reply)
		require.EqualValues(t, 1, runs.Load())
		require.Equal(t, 1, countedAt(t, c, id))
	})
}

// The untyped form of a call names no kind. It is made again all the same.
func TestAnUntypedCallIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 60
		c := startMeters(t, 4, sessions, nil)
		id, reply := idOf(t, c, 1, sessions), 0
		require.NoError(t, lost(t, c, func(ctx context.Context) error {
			return c.Node(0).Call(ctx, id, "advance", 3, &reply)
		}))
		require.Equal(t, 3, reply)
		require.Equal(t, 3, countedAt(t, c, id))
	})
}

// The node of a session closes while a call is with its handler, and says so. The call is made again where the session
// goes on, whether or not it changes that.
func TestACallIsMadeAgainWhenItsNodeCloses(t *testing.T) {
	for name, call := range map[string]*sessionproc.Method[sessionproc.None, int]{"changes": burn, "reads": look} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const sessions = 60
				var runs atomic.Int32
				c := startMeters(t, 4, sessions, func(_ int, ctx context.Context) {
					if runs.Add(1) == 1 {
						<-ctx.Done()
					}
				})
				id := idOf(t, c, 1, sessions)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				time.AfterFunc(100*time.Millisecond, func() { _ = c.Node(1).Close() })
				_, err := call.Call(ctx, c.Node(0), id, sessionproc.None{})
				require.NoError(t, err)
				require.EqualValues(t, 2, runs.Load())
				c.Crash(1)
			})
		})
	}
}

// The answer to a start is lost. The repeat finds the session that the first one has started. Another start
// finds it too, and that is an error.
func TestAStartIsMadeAgain(t *testing.T) {
	starts := map[string]func(ctx context.Context, c sessionproc.Caller, id string) (bool, error){
		"Start": func(ctx context.Context, c sessionproc.Caller, id string) (bool, error) {
			return true, meters.Start(ctx, c, id, sessionproc.None{})
		},
		"Ensure": func(ctx context.Context, c sessionproc.Caller, id string) (bool, error) {
			return meters.Ensure(ctx, c, id, sessionproc.None{})
		},
		"untyped": func(ctx context.Context, c sessionproc.Caller, id string) (bool, error) {
			return true, c.(*node.Node).Start(ctx, id, node.StartOptions{Kind: "meter", Arg: sessionproc.None{}})
		},
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, id, started := startMeters(t, 4, 0, nil), "", false
				for i := 0; id == "" || c.Owner(id) != 1; i++ {
					id = fmt.Sprint("m", i)
				}
				require.NoError(t, lost(t, c, func(ctx context.Context) (err error) {
					started, err = start(ctx, c.Node(0), id)
					return err
				}))
				require.True(t, started)
				require.ErrorIs(t, meters.Start(t.Context(), c.Node(0), id, sessionproc.None{}), sessionproc.ErrAlreadyStarted)
				require.Equal(t, 0, countedAt(t, c, id))
			})
		})
	}
}

// The answer to a Terminate is lost. The repeat finds no session, as it should be.
func TestATerminateIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 60
		c := startMeters(t, 4, sessions, nil)
		id := idOf(t, c, 1, sessions)
		require.NoError(t, lost(t, c, func(ctx context.Context) error { return c.Node(0).Terminate(ctx, id) }))
		there, err := c.Node(0).Started(t.Context(), id)
		require.NoError(t, err)
		require.False(t, there)
	})
}

// dies has a node die of a handler.
func dies(ctx context.Context, c *nodetest.Cluster, i int) {
	go c.Crash(i)
	<-ctx.Done()
}

// A handler dies with its node when it has called another session. It runs again, and that call does not.
func TestCallsOfAHandlerThatRunsAgainRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 60
		var c *nodetest.Cluster
		var runs atomic.Int32
		c = startMeters(t, 4, sessions, func(i int, ctx context.Context) {
			if runs.Add(1) == 1 {
				dies(ctx, c, i)
			}
		})
		outer, inner := idOf(t, c, 1, sessions), idOf(t, c, 2, sessions)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		n, err := pass.Call(ctx, c.Node(0), outer, inner)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.EqualValues(t, 2, runs.Load())
		require.Equal(t, 1, countedAt(t, c, outer))
		require.Equal(t, 1, countedAt(t, c, inner))
	})
}

// A handler of which each node dies gets two of them, and the caller is told that it may have run.
func TestAHandlerThatKillsItsNodeRunsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 60
		var c *nodetest.Cluster
		var runs atomic.Int32
		c = startMeters(t, 5, sessions, func(i int, ctx context.Context) {
			runs.Add(1)
			dies(ctx, c, i)
		})
		c.Drain(0) // no session comes to the node of the caller
		c.Settle()
		id := idOf(t, c, 1, sessions)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		_, err := burn.Call(ctx, c.Node(0), id, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		require.True(t, sessionproc.MaybeExecuted(err))
		require.NoError(t, ctx.Err())
		require.EqualValues(t, 2, runs.Load())
	})
}

// A call that was made again may come twice when it is over, as the first request waits in a network that is cut.
// Its session keeps the reply until that cannot be any more.
func TestReplyOfACallThatWasMadeAgainIsKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodetest.Start(t, nodetest.Config{Nodes: 1}).Node(0)
		call, over := n.NumberCall("a")
		again, overAgain := n.NumberCall("a")
		require.False(t, again.Over(&call.Root), "it is under way")
		over(true)
		overAgain(true)
		isOver := func() bool {
			next, over := n.NumberCall("a")
			over(false)
			return next.Over(&call.Root)
		}
		require.False(t, isOver(), "either request may come")
		time.Sleep(2*time.Minute - time.Second)
		require.False(t, isOver())
		time.Sleep(2 * time.Second)
		require.True(t, isOver())
	})
}

// A session has replies to its own calls, and to those that handlers of other sessions make: that a call of one of
// them is over says nothing about those of the others, which may be made again.
func TestWhatIsOverOfOneSessionIsNotOverOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodetest.Start(t, nodetest.Config{Nodes: 1}).Node(0)
		call, _ := n.NumberCall("waits")
		for i := range 1000 {
			other, over := n.NumberCall(fmt.Sprint("m", i%50))
			require.False(t, other.Over(&call.Root))
			require.False(t, call.Over(&other.Root))
			over(false)
		}
	})
}
