package node_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// doubles starts sessions on two nodes and has a third one join, which is cut off as so
// many of them have come to it, before it has said so. It returns those that both sides
// have, when these are settled.
func doubles(t *testing.T, after int) (c *nodetest.Cluster, both []string) {
	var mu sync.Mutex
	var hosts []*simnet.Host // guarded by mu, as is come
	come := 0
	c = nodetest.Start(t, nodetest.Config{Nodes: 3, Kinds: []nodetest.KindFunc{newBags},
		Network: simnet.Config{Link: simnet.Link{Latency: 5 * time.Millisecond}}, Tune: func(i int, cfg *node.Config) {
			cfg.Trace = &node.Trace{SessionMoved: func(m node.TraceSessionMoved) {
				mu.Lock()
				defer mu.Unlock()
				if i != 2 || !m.Arrived || hosts == nil {
					return
				}
				if come++; come == after {
					for _, h := range hosts[:2] {
						c.Network().Cut(hosts[2], h)
					}
				}
			}}
		}})
	c.Settle()
	c.Leave(2)
	mu.Lock()
	for i := range 3 {
		hosts = append(hosts, c.Host(i))
	}
	mu.Unlock()
	var all []string
	for range started {
		id := sessionproc.NewID()
		require.NoError(t, bags.Start(t.Context(), c.Caller(), id, sessionproc.None{}))
		_, err := putBag.Call(t.Context(), c.Caller(), id, "before")
		require.NoError(t, err)
		all = append(all, id)
	}
	c.Restart(2)
	time.Sleep(time.Second)
	c.Isolate(2) // it is
	time.Sleep(15 * time.Second)
	c.Settle()
	for _, id := range all {
		if lives(t, c, 0, id) && lives(t, c, 2, id) {
			both = append(both, id)
		}
	}
	return c, both
}

const started = 40

// lives reports whether a session answers at a node with what it has.
func lives(t *testing.T, c *nodetest.Cluster, at int, id string) bool {
	got, err := putBag.Call(t.Context(), c.Node(at), id, "")
	if err != nil {
		require.True(t, errors.Is(err, sessionproc.ErrNotFound), "%v", err)
		return false
	}
	require.Equal(t, "before", got.Words[0])
	return true
}

// What is ended on one side of a cut does not come back when it heals, whichever node
// owns it then and wherever there is a copy from before; all else goes on.
func TestEndDuringACutHoldsAfterIt(t *testing.T) {
	for _, side := range []int{0, 2} {
		t.Run(fmt.Sprint("at ", side), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, both := doubles(t, 5)
				require.Greater(t, len(both), 1)
				o := &outlived{t: t, c: c, both: both, ended: map[int]bool{}, unknown: map[int]bool{}}
				for i := range both {
					if i%2 == 0 {
						o.do(fate{what: "end", node: side, session: i})
					}
				}
				require.NotEmpty(t, o.ended)
				o.check()
			})
		})
	}
}

// So it is after any cuts and heals, with ends and changes on any side at any time.
func TestEndsHoldAfterAnyCuts(t *testing.T) {
	shorttest.Skip(t)
	rapid.Check(t, func(rt *rapid.T) {
		after := rapid.IntRange(1, 12).Draw(rt, "come before the cut")
		fates := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) fate {
			return fate{
				what:    rapid.SampledFrom([]string{"end", "end", "end", "change", "isolate", "heal"}).Draw(rt, "what"),
				node:    rapid.IntRange(0, 2).Draw(rt, "node"),
				session: rapid.IntRange(0, 15).Draw(rt, "session"),
				then:    time.Duration(rapid.SampledFrom([]int{0, 100, 1000, 8000, 20000}).Draw(rt, "ms")) * time.Millisecond,
			}
		}), 1, 12).Draw(rt, "fates")
		if !t.Run("", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, both := doubles(t, after)
				o := &outlived{t: t, c: c, both: both, ended: map[int]bool{}, unknown: map[int]bool{}}
				for _, f := range fates {
					o.do(f)
				}
				o.check()
			})
		}) {
			rt.Fatalf("it fails")
		}
	})
}

// fate is what happens to a session, or to the network, and how long nothing does then.
type fate struct {
	what    string
	node    int
	session int
	then    time.Duration
}

// outlived is a cluster with sessions of which there are two copies.
type outlived struct {
	t     *testing.T
	c     *nodetest.Cluster
	both  []string
	ended map[int]bool

	unknown map[int]bool // it is not known whether they have ended
}

func (o *outlived) do(f fate) {
	ctx := o.t.Context()
	switch f.what {
	case "isolate":
		o.c.Isolate(f.node)
	case "heal":
		o.c.Heal()
	case "end":
		if f.session >= len(o.both) {
			break
		}
		switch err := o.c.Node(f.node).Terminate(ctx, o.both[f.session]); {
		case err == nil:
			o.ended[f.session] = true
		case sessionproc.MaybeExecuted(err): // what was sent may arrive when the cut heals
			o.unknown[f.session] = true
		}
	case "change":
		if f.session < len(o.both) {
			_, _ = putBag.Call(ctx, o.c.Node(f.node), o.both[f.session], "changed")
		}
	}
	time.Sleep(f.then)
}

func (o *outlived) check() {
	o.c.Heal()
	o.c.Settle()
	time.Sleep(20 * time.Second)
	for i, id := range o.both {
		if o.unknown[i] && !lives(o.t, o.c, 0, id) {
			o.ended[i] = true
		}
		for at := range 3 {
			require.Equal(o.t, !o.ended[i], lives(o.t, o.c, at, id), "session %d at node %d", i, at)
		}
	}
	held := 0
	for i := range 3 {
		held += o.c.Node(i).Sessions()
	}
	require.Equal(o.t, started-len(o.ended), held, "each runs once")
}
