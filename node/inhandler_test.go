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

var (
	admins  = sessionproc.KindOf[sessionproc.None]("admin")
	run     = sessionproc.MethodOf[string, sessionproc.None](admins, "run")
	told    = sessionproc.NoticeOf[string](admins, "told")
	ended   = sessionproc.NoticeOf[sessionproc.Ended](admins, "ended")
	orders  = sessionproc.EventOf[int](admins, "orders")
	listens = sessionproc.MethodOf[sessionproc.None, []string](admins, "listens")
)

type admin struct{ Told []string }

// inHandler is what the handlers of admins do: they have begun when it is sent to
// begun, and go on when goOn is closed.
type inHandler struct {
	begun, goOn chan struct{}
	does        func(ctx context.Context, n *node.Node, id string) error
	took        time.Duration
	err         error
	done        chan struct{} // closed when both are known
}

func (h *inHandler) kind() sessionproc.AnyKind {
	k := sessionproc.NewKind(admins, func(ctx context.Context, _ sessionproc.None) (*admin, error) {
		return new(admin), sessionproc.FromContext(ctx).SetLabel("user", "ann")
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, run, func(_ *admin, ctx context.Context, id string) (sessionproc.None, error) {
		s := sessionproc.FromContext(ctx)
		n := s.Cluster().(*node.Node)
		if id != "" { // by way of another session
			return run.Call(ctx, n, id, "")
		}
		h.begun <- struct{}{}
		<-h.goOn
		begun := time.Now()
		h.err = h.does(ctx, n, s.ID())
		h.took = time.Since(begun)
		close(h.done)
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCall(k, listens, func(a *admin, _ context.Context, _ sessionproc.None) ([]string, error) {
		return a.Told, nil
	})
	sessionproc.HandleCast(k, told, func(a *admin, _ context.Context, m string) error {
		a.Told = append(a.Told, m)
		return nil
	})
	sessionproc.HandleCast(k, ended, func(*admin, context.Context, sessionproc.Ended) error { return nil })
	sessionproc.HandleEvent(k, orders, func(*admin) int { return 1 })
	return k
}

// waitless are operations that could wait for the handler that calls them. A nil error
// is wanted, or the given one.
var waitless = map[string]struct {
	does func(ctx context.Context, n *node.Node, id string) error
	want error
}{
	"Terminate": {func(ctx context.Context, n *node.Node, id string) error { return n.Terminate(ctx, id) },
		sessionproc.ErrCallCycle},
	"TerminateMany": {func(ctx context.Context, n *node.Node, id string) error {
		failed := n.TerminateMany(ctx, []string{id, "no-such-session"})
		if !errors.Is(failed["no-such-session"], sessionproc.ErrNotFound) {
			return fmt.Errorf("another one: %w", failed["no-such-session"])
		}
		return failed[id]
	}, sessionproc.ErrCallCycle},
	"Renew": {func(ctx context.Context, n *node.Node, id string) error {
		_, err := n.Renew(ctx, id)
		return err
	}, sessionproc.ErrCallCycle},
	"Start": {func(ctx context.Context, n *node.Node, id string) error {
		return admins.Start(ctx, n, id, sessionproc.None{})
	}, sessionproc.ErrCallCycle},
	"StartMany": {func(ctx context.Context, n *node.Node, id string) error {
		return admins.StartMany(ctx, n, map[string]sessionproc.None{id: {}})[id]
	}, sessionproc.ErrCallCycle},
	"Call": {func(ctx context.Context, n *node.Node, id string) error {
		_, err := run.Call(ctx, n, id, "")
		return err
	}, sessionproc.ErrCallCycle},
	"Subscribe": {func(ctx context.Context, n *node.Node, id string) error {
		_, err := orders.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
		return err
	}, sessionproc.ErrCallCycle},
	"Leave": {func(ctx context.Context, n *node.Node, _ string) error { return n.Leave(ctx) }, sessionproc.ErrCallCycle},
	"Drain": {func(ctx context.Context, n *node.Node, _ string) error { return n.Drain(ctx) }, sessionproc.ErrCallCycle},
	"Cast":  {func(ctx context.Context, n *node.Node, id string) error { return told.Cast(ctx, n, id, "cast") }, nil},
	"untyped Cast": {func(ctx context.Context, n *node.Node, id string) error {
		return n.Cast(ctx, id, "told", "untyped cast")
	}, nil},
	"Broadcast": {func(ctx context.Context, n *node.Node, _ string) error {
		reach, err := told.Broadcast(ctx, n, "broadcast")
		if err == nil && reach.Delivered != 4 {
			err = fmt.Errorf("it reached %+v", reach)
		}
		return err
	}, nil},
	"Touch": {func(ctx context.Context, n *node.Node, id string) error { return n.Touch(ctx, id) }, nil},
	"Started": {func(ctx context.Context, n *node.Node, id string) error {
		if there, err := n.Started(ctx, id); err != nil || !there {
			return fmt.Errorf("started: %v, %w", there, err)
		}
		return nil
	}, nil},
	"Inspect": {func(ctx context.Context, n *node.Node, id string) error {
		_, err := n.Inspect(ctx, id, node.InspectOptions{})
		return err
	}, nil},
	"Watch": {func(ctx context.Context, _ *node.Node, id string) error {
		sessionproc.Watch(ctx, id, ended)
		return nil
	}, nil},
	"TerminateLabelled": {func(ctx context.Context, n *node.Node, _ string) error {
		count, err := n.TerminateLabelled(ctx, "user", "ann")
		if err == nil && count != 4 {
			err = fmt.Errorf("%d sessions have ended", count)
		}
		return err
	}, nil},
}

// What a handler does with its own session, or with one that waits for it, does not wait
// for the handler: neither where the session rests, nor while it is on its way.
func TestOperationsInAHandlerDoNotWaitForIt(t *testing.T) {
	for i, name := range slices.Sorted(maps.Keys(waitless)) {
		for _, moves := range []bool{false, true} {
			for j, from := range []string{"own", "here", "there"} {
				if testing.Short() && i%3 != j {
					continue
				}
				t.Run(fmt.Sprintf("%s moves=%v %s", name, moves, from), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { operateInHandler(t, name, moves, from) })
				})
			}
		}
	}
}

// operateInHandler has a handler of a session of node 0, or one of another session, of
// node 0 or 1, that it waits for, do something with it.
func operateInHandler(t *testing.T, name string, moves bool, from string) {
	w, h := waitless[name], &inHandler{begun: make(chan struct{}, 1), goOn: make(chan struct{}), done: make(chan struct{})}
	c := nodetest.NewCluster(t, 3, h.kind)
	time.Sleep(time.Second)
	id, here, there := ownedBy(c, 0, "id"), ownedBy(c, 0, "here"), ownedBy(c, 1, "there")
	for _, s := range []string{id, here, there, ownedBy(c, 2, "other")} {
		require.NoError(t, admins.Start(t.Context(), c.Node(0), s, sessionproc.None{}))
	}
	via := map[string]string{"own": "", "here": here, "there": there}[from]
	at := c.Node(0)
	h.does = func(ctx context.Context, n *node.Node, _ string) error {
		if name == "Leave" || name == "Drain" {
			n = at // where the session is that waits
		}
		return w.does(ctx, n, id)
	}
	called := make(chan error, 1)
	go func() {
		_, err := run.Call(context.Background(), c.Node(2), id, via)
		called <- err
	}()
	<-h.begun
	drained := make(chan error, 1)
	if moves {
		go func() { drained <- c.Node(0).Drain(context.Background()) }()
		time.Sleep(500 * time.Millisecond) // until it is sealed
	}
	close(h.goOn)
	err := <-called
	<-h.done
	require.Less(t, h.took, 100*time.Millisecond)
	require.Equal(t, w.want != nil, h.err != nil, "%v", h.err)
	require.ErrorIs(t, h.err, w.want)
	if name == "TerminateLabelled" {
		if !moves { // else the session ends where it arrives
			require.ErrorContains(t, err, "session terminated", "as an error or as the text of one")
		}
		time.Sleep(time.Second)
		for s, err := range c.Node(2).List(t.Context(), node.ListOptions{}) {
			require.NoError(t, err)
			require.Fail(t, "a session has not ended", s.ID)
		}
	} else {
		require.NoError(t, err)
		if moves {
			require.NoError(t, <-drained)
		}
		heard, err := listens.Call(t.Context(), c.Node(2), id, sessionproc.None{})
		require.NoError(t, err)
		if want := map[string]string{"Cast": "cast", "untyped Cast": "untyped cast",
			"Broadcast": "broadcast"}[name]; want != "" {
			require.Equal(t, []string{want}, heard)
		}
		require.Equal(t, moves, c.Node(0).Ready() != nil, "nothing has begun")
	}
}
