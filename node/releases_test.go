package node_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// operation is something that a program does to a session of which the owner's
// release may lack the kind, or what the operation names.
type operation struct {
	name string
	do   func(ctx context.Context, n *node.Node, id string) error
	want error // of an owner of the first release; nil: it does not matter what that has
}

var none sessionproc.None

// onKind are the operations that name a kind of the second release.
var onKind = []operation{
	{"start", func(ctx context.Context, n *node.Node, id string) error { return wishes.Start(ctx, n, id, none) },
		sessionproc.ErrUnknownKind},
	{"ensure", func(ctx context.Context, n *node.Node, id string) error {
		_, err := wishes.Ensure(ctx, n, id, none)
		return err
	}, sessionproc.ErrUnknownKind},
	{"untyped start", func(ctx context.Context, n *node.Node, id string) error {
		return n.Start(ctx, id, node.StartOptions{Kind: "wish"})
	}, sessionproc.ErrUnknownKind},
	{"untyped ensure", func(ctx context.Context, n *node.Node, id string) error {
		_, err := n.Ensure(ctx, id, node.StartOptions{Kind: "wish"})
		return err
	}, sessionproc.ErrUnknownKind},
	{"start many", func(ctx context.Context, n *node.Node, id string) error {
		return wishes.StartMany(ctx, n, map[string]sessionproc.None{id: {}})[id]
	}, sessionproc.ErrUnknownKind},
	{"untyped start many", func(ctx context.Context, n *node.Node, id string) error {
		return n.StartMany(ctx, map[string]node.StartOptions{id: {Kind: "wish"}})[id]
	}, sessionproc.ErrUnknownKind},
	{"call that starts", func(ctx context.Context, n *node.Node, id string) error {
		_, err := hope.Call(ctx, n, id, "x")
		return err
	}, sessionproc.ErrUnknownKind},
	{"cast that starts", func(ctx context.Context, n *node.Node, id string) error { return hint.Cast(ctx, n, id, "x") },
		sessionproc.ErrUnknownKind},
}

// onMethod are the operations that name what a kind of both releases has in the
// second one only.
var onMethod = []operation{
	{"call that starts", func(ctx context.Context, n *node.Node, id string) error {
		_, err := gift.Call(ctx, n, id, "x")
		return err
	}, sessionproc.ErrUnknownMethod},
	{"cast that starts", func(ctx context.Context, n *node.Node, id string) error { return wrap.Cast(ctx, n, id, "x") },
		sessionproc.ErrUnknownMethod},
	{"call", func(ctx context.Context, n *node.Node, id string) error {
		_, err := remind2.Call(ctx, n, id, time.Hour)
		return err
	}, sessionproc.ErrUnknownMethod},
	{"untyped call", func(ctx context.Context, n *node.Node, id string) error {
		return n.Call(ctx, id, "gift", "x", nil)
	}, sessionproc.ErrUnknownMethod},
	{"untyped cast", func(ctx context.Context, n *node.Node, id string) error { return n.Cast(ctx, id, "wrap", "x") },
		sessionproc.ErrUnknownMethod},
	{"subscription", func(ctx context.Context, n *node.Node, id string) error {
		s, err := wrapped.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
		if err == nil {
			s.Close()
		}
		return err
	}, sessionproc.ErrUnknownMethod},
}

// onEither are operations that name neither.
var onEither = []operation{
	{"started", func(ctx context.Context, n *node.Node, id string) error {
		_, err := n.Started(ctx, id)
		return err
	}, nil},
	{"touch", func(ctx context.Context, n *node.Node, id string) error { return n.Touch(ctx, id) }, nil},
	{"terminate", func(ctx context.Context, n *node.Node, id string) error { return n.Terminate(ctx, id) }, nil},
	{"terminate many", func(ctx context.Context, n *node.Node, id string) error {
		return n.TerminateMany(ctx, []string{id})[id]
	}, nil},
	{"renew", func(ctx context.Context, n *node.Node, id string) error { _, err := n.Renew(ctx, id); return err }, nil},
}

// requireOwnerLacks requires the error of an owner whose release lacks something.
func requireOwnerLacks(t *testing.T, want, err error, what string) {
	t.Helper()
	require.ErrorIs(t, err, want, what)
	require.NotErrorIs(t, err, sessionproc.ErrNotFound, what)
	require.ErrorContains(t, err, "the owner's release has no ", what)
	require.ErrorContains(t, err, "n1", what)
	require.False(t, sessionproc.MaybeExecuted(err), what)
}

// Every operation, from a node of either release, for a session that is there and
// for one that is not: the owner's error says that its release lacks what is asked
// for, and what the caller's own node was given does not matter.
func TestOwnerOfAnotherReleaseSaysWhatItLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, release2, release1)
		ctx := t.Context()
		for from := range 2 {
			n := d.Node(from)
			id := func(at int, name string) string { return d.idOf(at, fmt.Sprintf("%s-from-%d", name, from)) }
			for i, o := range onKind {
				what := fmt.Sprintf("%s of a kind, from n%d", o.name, from)
				requireOwnerLacks(t, o.want, o.do(ctx, n, id(1, fmt.Sprint("kind", i))), what)
				require.NoError(t, o.do(ctx, n, id(0, fmt.Sprint("kind", i))), what)
			}
			for i, o := range onMethod {
				what := fmt.Sprintf("%s of a method, from n%d", o.name, from)
				requireOwnerLacks(t, o.want, o.do(ctx, n, id(1, fmt.Sprint("none", i))), what)
				for at := range 2 {
					require.NoError(t, baskets.Start(ctx, n, id(at, fmt.Sprint("there", i)), none))
				}
				requireOwnerLacks(t, o.want, o.do(ctx, n, id(1, fmt.Sprint("there", i))), what)
				require.NoError(t, o.do(ctx, n, id(0, fmt.Sprint("there", i))), what)
			}
			for i, o := range onEither {
				require.NoError(t, wishes.Start(ctx, d.Node(0), id(0, fmt.Sprint("either", i)), none))
				require.NoError(t, o.do(ctx, n, id(0, fmt.Sprint("either", i))), "%s, from n%d", o.name, from)
			}
		}
	})
}

// What a call that does not start a session gets where there is none depends on what
// the owner knows too: it is not found only where it could be.
func TestNotFoundIsSaidOnlyByOwnersThatKnowTheMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, release2, release1)
		for i := range 2 {
			n, id := d.Node(1-i), d.idOf(i, "none")
			_, err := put.Call(t.Context(), n, id, "x")
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
			require.ErrorIs(t, n.Call(t.Context(), id, "put", "x", nil), sessionproc.ErrNotFound)
			_, err = moved.Subscribe(t.Context(), n, id, sessionproc.SubscribeOptions{})
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
			require.ErrorIs(t, jot.Cast(t.Context(), n, id, "x"), sessionproc.ErrNotFound)
		}
		other := sessionproc.KindOf[sessionproc.None]("basket")
		err := sessionproc.NoticeOf[string](other, "put").Cast(t.Context(), d.Node(0), d.idOf(1, "none"), "x")
		require.ErrorIs(t, err, sessionproc.ErrUnknownMethod, "it is a method, not a notice")
	})
}

// A new ID falls to any node. While some were not given the kind it is one of those
// that were.
func TestRenewFindsAnOwnerThatCanHaveTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, release1, release2, release1)
		id := d.idOf(1, "wish")
		require.NoError(t, wishes.Start(t.Context(), d.Node(0), id, none))
		for i := range 9 {
			next, err := d.Node(i%3).Renew(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, 1, d.Owner(next))
			id = next
			time.Sleep(2 * time.Second)
		}
		require.ErrorContains(t, d.Node(1).Drain(t.Context()), `kind "wish"`, "it stays")
		_, err := d.Node(0).Renew(t.Context(), id)
		require.ErrorIs(t, err, sessionproc.ErrUnknownKind)
		require.False(t, sessionproc.MaybeExecuted(err))
		_, err = hope.Call(t.Context(), d.Node(0), id, "x")
		require.NoError(t, err, "under its old ID")
	})
}

// While the owner changes, from one release to the other and back, every answer is
// the session's or that its owner's release has no such method; none is lost.
func TestCallsWhileOwnersOfTwoReleasesChangeAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, release1, release1, release1)
		ids := d.startBaskets(60)
		var wait sync.WaitGroup
		stop, served, lacking := make(chan struct{}), [4]int{}, [4]int{}
		for c := range served {
			wait.Go(func() {
				for k := c; ; k += len(served) {
					select {
					case <-stop:
						return
					case <-time.After(5 * time.Millisecond):
					}
					_, err := gift.Call(t.Context(), d.Caller(), ids[k%len(ids)], "x")
					switch {
					case err == nil:
						served[c]++
					case errors.Is(err, sessionproc.ErrUnknownMethod) && !errors.Is(err, sessionproc.ErrNotFound):
						lacking[c]++
					case errors.Is(err, sessionproc.ErrClosed): // the caller's own node leaves
					default:
						assert.NoError(t, err)
					}
				}
			})
		}
		for _, release := range []func() []sessionproc.AnyKind{release2, release1} {
			for i := range 3 {
				d.deploy(i, release)
			}
		}
		close(stop)
		wait.Wait()
		for c := range served {
			require.NotZero(t, served[c])
			require.NotZero(t, lacking[c])
		}
		for _, id := range ids {
			n, err := put.Call(t.Context(), d.Caller(), id, "milk")
			require.NoError(t, err)
			require.Equal(t, 2, n, "no session was lost")
		}
	})
}

// A broadcast reaches the sessions of nodes that know it, and names the nodes with
// sessions that would not understand it. Where nobody knows it, that is an error.
func TestBroadcastNamesNodesWhoseReleaseLacksIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, release2, release1)
		for _, n := range []*node.Node{d.Node(0), d.Node(1)} {
			r, err := wrap.Broadcast(t.Context(), n, "x")
			require.NoError(t, err, "no session lacks it")
			require.Zero(t, r)
			require.NoError(t, wishes.Start(t.Context(), n, d.idOf(0, "wish-"+n.Slot()), none))
		}
		r, err := hint.Broadcast(t.Context(), d.Node(1), "x")
		require.NoError(t, err, "who has no such kind has no such session")
		require.Equal(t, 2, r.Delivered)

		for i := range 2 {
			require.NoError(t, baskets.Start(t.Context(), d.Node(0), d.idOf(i, "b"), none))
		}
		r, err = wrap.Broadcast(t.Context(), d.Node(0), "x")
		require.Equal(t, 1, r.Delivered)
		var partial *node.PartialError
		require.ErrorAs(t, err, &partial)
		require.Len(t, partial.Nodes, 1)
		require.ErrorIs(t, partial.Nodes[d.Node(1).Name()], sessionproc.ErrUnknownMethod)
		require.ErrorIs(t, err, sessionproc.ErrUnknownMethod)

		nothing := sessionproc.KindOf[int]("nothing")
		_, err = sessionproc.NoticeOf[string](nothing, "n").Broadcast(t.Context(), d.Node(0), "x")
		require.ErrorIs(t, err, sessionproc.ErrUnknownKind)
		require.False(t, sessionproc.MaybeExecuted(err))
		other := sessionproc.KindOf[sessionproc.None]("basket")
		_, err = sessionproc.NoticeOf[string](other, "nothing").Broadcast(t.Context(), d.Node(0), "x")
		require.ErrorIs(t, err, sessionproc.ErrUnknownMethod)
	})
}
