package node_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A greenhorn starts with its first message, but for polls.
var (
	greenhorns = sessionproc.KindOf[none0]("greenhorn")
	learn      = sessionproc.MethodOf[string, int](greenhorns, "learn")
	teach      = sessionproc.NoticeOf[string](greenhorns, "teach")
	poll       = sessionproc.MethodOf[none0, int](greenhorns, "poll")
	whisper    = sessionproc.NoticeOf[string](greenhorns, "whisper")
	learnt     = sessionproc.EventOf[int](greenhorns, "learnt")
	heardOf    = sessionproc.NoticeOf[sessionproc.Ended](greenhorns, "heard_of")
)

type none0 = sessionproc.None

type greenhorn struct{ Learnt []string }

func (g *greenhorn) teach(_ context.Context, what string) error {
	if what == "too much" {
		panic(what)
	}
	g.Learnt = append(g.Learnt, what)
	return nil
}

func (g *greenhorn) learn(ctx context.Context, what string) (int, error) {
	err := g.teach(ctx, what)
	return len(g.Learnt), err
}

func (g *greenhorn) poll(context.Context, none0) (int, error) { return len(g.Learnt), nil }

func bindGreenhorns(cfg sessionproc.KindConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(greenhorns, startsAs[greenhorn], cfg)
	noStart := sessionproc.MethodConfig{NoStart: true, NoTouch: true}
	sessionproc.HandleCall(k, learn, (*greenhorn).learn)
	sessionproc.HandleCast(k, teach, (*greenhorn).teach)
	sessionproc.HandleCall(k, poll, (*greenhorn).poll, noStart)
	sessionproc.HandleCast(k, whisper, (*greenhorn).teach, noStart)
	sessionproc.HandleCast(k, heardOf, func(*greenhorn, context.Context, sessionproc.Ended) error { return nil })
	sessionproc.HandleEvent(k, learnt, func(g *greenhorn) int { return len(g.Learnt) })
	return k
}

func ofGreenhorns(cfg sessionproc.KindConfig) nodetest.Config {
	cfg.StartOnCall = true
	kind := func() sessionproc.AnyKind { return bindGreenhorns(cfg) }
	return nodetest.Config{Kinds: []nodetest.KindFunc{kind}}
}

// greenhornOps are all messages that can come for a session. The first ones start it.
var greenhornOps = []struct {
	name   string
	starts bool
	do     func(ctx context.Context, n *node.Node, id string) error
}{
	{"call", true, func(ctx context.Context, n *node.Node, id string) error {
		_, err := learn.Call(ctx, n, id, "x")
		return err
	}},
	{"cast", true, func(ctx context.Context, n *node.Node, id string) error { return teach.Cast(ctx, n, id, "x") }},
	{"untyped call", true, func(ctx context.Context, n *node.Node, id string) error {
		return n.Call(ctx, id, "learn", "x", nil)
	}},
	{"untyped cast", true, func(ctx context.Context, n *node.Node,
		id string) error {
		return n.Cast(ctx, id, "teach", "x")
	}},
	{"poll", false, func(ctx context.Context, n *node.Node, id string) error {
		_, err := poll.Call(ctx, n, id, none)
		return err
	}},
	{"NoStart cast", false, func(ctx context.Context, n *node.Node, id string) error {
		return whisper.Cast(ctx, n, id, "x")
	}},
	{"untyped poll", false, func(ctx context.Context, n *node.Node, id string) error {
		return n.Call(ctx, id, "poll", nil, nil)
	}},
	{"untyped NoStart cast", false, func(ctx context.Context, n *node.Node, id string) error {
		return n.Cast(ctx, id, "whisper", "x")
	}},
	{"touch", false, func(ctx context.Context, n *node.Node, id string) error { return n.Touch(ctx, id) }},
	{"terminate", false, func(ctx context.Context, n *node.Node, id string) error { return n.Terminate(ctx, id) }},
	{"renew", false, func(ctx context.Context, n *node.Node, id string) error {
		_, err := n.Renew(ctx, id)
		return err
	}},
	{"subscription", false, func(ctx context.Context, n *node.Node, id string) error {
		s, err := learnt.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
		if err == nil {
			s.Close()
		}
		return err
	}},
}

// A kind with StartOnCall starts its sessions with any call or cast but those with
// NoStart, and nothing else does.
func TestKindWithStartOnCallStartsOnCallsAndCasts(t *testing.T) {
	inEachPlace(t, ofGreenhorns(sessionproc.KindConfig{}), func(p place) {
		ids := map[string]string{}
		for i, id := range owned(p.c, 0, len(greenhornOps), "greenhorn-") {
			ids[greenhornOps[i].name] = id
		}
		for _, o := range greenhornOps {
			err := o.do(p.Context(), p.via, ids[o.name])
			synctest.Wait() // a cast does not wait for the start function
			there, known := p.via.Started(p.Context(), ids[o.name])
			require.NoError(p, known)
			require.Equal(p, o.starts, there, o.name)
			if o.starts {
				require.NoError(p, err, o.name)
			} else {
				require.ErrorIs(p, err, sessionproc.ErrNotFound, o.name)
			}
		}
		p.move()
		for _, o := range greenhornOps {
			n, err := poll.Call(p.Context(), p.via, ids[o.name], none)
			if !o.starts {
				require.ErrorIs(p, err, sessionproc.ErrNotFound, o.name)
				continue
			}
			require.NoError(p, err, o.name)
			require.Equal(p, 1, n, o.name)
		}
	})
}

// What ends a session, and what only seems to.
func TestKindWithStartOnCallStartsEndedSessionsAnew(t *testing.T) {
	cfg := sessionproc.KindConfig{IdleTimeout: time.Minute, MaxSessions: 2, Restart: sessionproc.RestartFresh,
		RestartBudget: 1}
	inEachPlace(t, ofGreenhorns(cfg), func(p place) {
		ctx := p.Context()
		count := func(id string) int {
			n, err := learn.Call(ctx, p.via, id, "x")
			require.NoError(p, err)
			return n
		}
		require.Equal(p, 1, count(p.id))
		p.move()
		require.Equal(p, 2, count(p.id))

		_, err := learn.Call(ctx, p.via, p.id, "too much")
		require.ErrorIs(p, err, sessionproc.ErrCrashed)
		n, err := poll.Call(ctx, p.via, p.id, none)
		require.NoError(p, err, "the restart of a session that began without Start")
		require.Zero(p, n)
		_, err = learn.Call(ctx, p.via, p.id, "too much")
		require.ErrorIs(p, err, sessionproc.ErrCrashed)
		_, err = poll.Call(ctx, p.via, p.id, none)
		require.ErrorIs(p, err, sessionproc.ErrNotFound, "the budget is spent")
		require.Equal(p, 1, count(p.id))

		time.Sleep(3 * time.Minute) // polls are no use
		_, err = poll.Call(ctx, p.via, p.id, none)
		require.ErrorIs(p, err, sessionproc.ErrNotFound)
		require.Equal(p, 1, count(p.id), "one that has expired begins anew")

		newID, err := p.via.Renew(ctx, p.id)
		require.NoError(p, err)
		_, err = learn.Call(ctx, p.via, p.id, "x")
		require.ErrorIs(p, err, sessionproc.ErrRenewed, "it is not missing")
		require.Equal(p, 2, count(newID))

		owner := 0
		if p.c.Owner(p.id) != 0 {
			owner = 1
		}
		for k, met := 0, false; !met; k++ {
			id := fmt.Sprint("another-", k)
			if p.c.Owner(id) != owner {
				continue
			}
			if _, err = learn.Call(ctx, p.via, id, "x"); err != nil {
				require.ErrorIs(p, err, sessionproc.ErrTooManySessions)
				met = true
			}
			require.Less(p, k, 100)
		}
	})
}

// The release of the owner decides whether a missing session starts; one that is there
// serves callers of both.
func TestReleaseOfTheOwnerDecidesOnStartOnCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := func() []sessionproc.AnyKind {
			return []sessionproc.AnyKind{bindGreenhorns(sessionproc.KindConfig{})}
		}
		after := func() []sessionproc.AnyKind {
			return []sessionproc.AnyKind{bindGreenhorns(sessionproc.KindConfig{StartOnCall: true})}
		}
		d := deployed(t, nil, before, after)
		var ids []string
		for i := range 2 {
			from := d.Node(i)
			_, err := learn.Call(t.Context(), from, d.idOf(0, "by"+from.Slot()), "x")
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
			id := d.idOf(1, "by"+from.Slot())
			_, err = learn.Call(t.Context(), from, id, "x")
			require.NoError(t, err)
			n, err := learn.Call(t.Context(), d.Node(1-i), id, "x")
			require.NoError(t, err)
			require.Equal(t, 2, n)
			ids = append(ids, id)
		}
		d.Leave(1) // the sessions go to the earlier release
		for _, id := range ids {
			n, err := learn.Call(t.Context(), d.Node(0), id, "x")
			require.NoError(t, err)
			require.Equal(t, 3, n)
		}
	})
}
