package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

var (
	gates = sessionproc.KindOf[sessionproc.None]("gate")
	pass  = sessionproc.MethodOf[sessionproc.None, string](gates, "pass")
	hold  = sessionproc.MethodOf[sessionproc.None, sessionproc.None](gates, "hold")
)

// gate is a session whose calls of hold wait until they are let go.
type gate struct{ N int }

func newGates(letGo <-chan struct{}, held *atomic.Int32, read sessionproc.MethodConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(gates, func(context.Context, sessionproc.None) (*gate, error) { return &gate{}, nil },
		sessionproc.KindConfig{Mailbox: 1})
	sessionproc.HandleCall(k, pass, func(_ *gate, ctx context.Context, _ sessionproc.None) (string, error) {
		return sessionproc.FromContext(ctx).Incarnation().String(), nil
	}, read)
	sessionproc.HandleCall(k, hold, func(_ *gate, ctx context.Context, _ sessionproc.None) (sessionproc.None, error) {
		held.Add(1)
		select {
		case <-letGo:
		case <-ctx.Done():
		}
		return sessionproc.None{}, ctx.Err()
	}, read)
	return k
}

// startPair starts two nodes that see each other.
func startPair(t *testing.T, letGo <-chan struct{}, held *atomic.Int32, read sessionproc.MethodConfig) (a, b *Node) {
	cfg := func(slot string) Config {
		return Config{Slot: slot, Kinds: []sessionproc.AnyKind{newGates(letGo, held, read)},
			StopTimeout: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	}
	a = begin(t, cfg("a"))
	b = begin(t, cfg("b"), a)
	require.Eventually(t, func() bool { return a.hasItsOwn() && b.hasItsOwn() }, 30*time.Second, time.Millisecond)
	return a, b
}

// hasItsOwn: of two members it has all that belongs to it; until then the owner of
// before starts sessions.
func (n *Node) hasItsOwn() bool {
	r := n.routes.Load()
	if len(r.View.Serving()) != 2 {
		return false
	}
	for part, owner := range r.Owners {
		if owner.Remote == nil && !n.driver.Part(part).Full {
			return false
		}
	}
	return true
}

// idOf makes an ID that owner owns.
func idOf(t *testing.T, owner *Node) string {
	for i := range 1000 {
		id := fmt.Sprintf("id-%d", i)
		if at, err := owner.Where(id); err == nil && at.Local {
			return id
		}
	}
	t.Fatal("the node owns nothing")
	return ""
}

func TestCallFollowsTheOwnerThatAnotherNodeNames(t *testing.T) {
	var held atomic.Int32
	a, b := startPair(t, nil, &held, sessionproc.MethodConfig{})
	c := begin(t, Config{Slot: "c",
		Kinds: []sessionproc.AnyKind{newGates(nil, &held, sessionproc.MethodConfig{})}}, a)
	require.Eventually(t, func() bool {
		return len(a.routes.Load().View.Serving()) == 3 && len(b.routes.Load().View.Serving()) == 3 &&
			len(c.routes.Load().View.Serving()) == 3
	}, 30*time.Second, time.Millisecond)

	id := idOf(t, c)
	require.NoError(t, gates.Start(t.Context(), c, id, sessionproc.None{}))
	// a believes that everything is b's, as a node does that has not heard of c.
	stale := *a.routes.Load()
	stale.Owners = make([]*route.Peer, len(stale.Owners))
	for part := range stale.Owners {
		stale.Owners[part] = route.NewPeer(b.self, a.remote(b.self))
	}
	a.routes.Store(&stale)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := pass.Call(ctx, a, id, sessionproc.None{})
	require.NoError(t, err)
}

func TestCallWaitsWhileNodesDisagreeAndSaysThatNothingRan(t *testing.T) {
	var held atomic.Int32
	a, b := startPair(t, nil, &held, sessionproc.MethodConfig{})
	id := idOf(t, b)
	before := b.routes.Load()
	leaves := *before
	leaves.Closed = true
	b.routes.Store(&leaves) // a sends to b, b says that it is not its own
	t.Cleanup(func() { b.routes.Store(before) })
	for range 5 { // a deadline that passes while b is asked leaves the outcome open
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := pass.Call(ctx, a, id, sessionproc.None{})
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		if errors.Is(err, sessionproc.ErrUnavailable) {
			require.False(t, sessionproc.MaybeExecuted(err))
			return
		}
	}
	t.Fatal("no call ended in the pause between two tries")
}

func TestCallToADeadOwnerWaitsForItsDetection(t *testing.T) {
	var held atomic.Int32
	// ReadOnly: the first try may get as far as the socket of the dead node.
	a, b := startPair(t, nil, &held, sessionproc.MethodConfig{ReadOnly: true})
	id := idOf(t, b)
	require.NoError(t, gates.Start(t.Context(), a, id, sessionproc.None{}))
	require.NoError(t, b.Close())
	_, err := pass.Call(t.Context(), a, id, sessionproc.None{})
	require.ErrorIs(t, err, sessionproc.ErrNotFound, "its state was in the memory of the node that died")
	require.NoError(t, gates.Start(t.Context(), a, id, sessionproc.None{}))
}

func TestCallThatRanAtANodeThatDiedMayHaveBeenExecuted(t *testing.T) {
	for _, c := range []struct {
		name string
		read sessionproc.MethodConfig
		want error
	}{
		{"changes", sessionproc.MethodConfig{}, sessionproc.ErrUnavailable},
		{"read only, and so repeated", sessionproc.MethodConfig{ReadOnly: true}, sessionproc.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			var held atomic.Int32
			letGo := make(chan struct{})
			defer close(letGo)
			a, b := startPair(t, letGo, &held, c.read)
			id := idOf(t, b)
			require.NoError(t, gates.Start(t.Context(), a, id, sessionproc.None{}))
			failed := make(chan error, 1)
			go func() {
				_, err := hold.Call(t.Context(), a, id, sessionproc.None{})
				failed <- err
			}()
			require.Eventually(t, func() bool { return held.Load() == 1 }, 30*time.Second, time.Millisecond)
			b.transport.Close() // as a crash does, it ends the connections without an answer
			_ = b.cluster.Close()
			err := <-failed
			require.ErrorIs(t, err, c.want)
			require.True(t, sessionproc.MaybeExecuted(err))
		})
	}
}

// What no peer would take is of no use to try again.
func TestARequestThatCannotBeSentFailsAtOnce(t *testing.T) {
	v := (&attempt{}).judge(t.Context(), nil, fmt.Errorf("%w: much too large", transport.ErrRequest))
	require.False(t, v.again)
	require.False(t, v.maybe)
	require.ErrorIs(t, v.err, sessionproc.ErrBadRequest)
}

// A renewal that was begun goes on wherever its session does. So it may have run, whatever ends the way of its request.
func TestRenewalThatWasBegunWhereItsSessionLeftMayHaveRun(t *testing.T) {
	n := begin(t, Config{Slot: "a", Logger: slog.New(slog.DiscardHandler), AllowAlone: true,
		Kinds: []sessionproc.AnyKind{newGates(nil, &atomic.Int32{}, sessionproc.MethodConfig{})}})
	for _, code := range []uint32{failure.CodeMoving, failure.CodeNotOwner} {
		for _, begun := range []bool{true, false} {
			a := attempt{node: n}
			v := a.judgeAnswer(t.Context(), failure.Coded{Code: code, Maybe: begun})
			require.True(t, v.again)
			require.Equal(t, begun, v.maybe, "code %d", code)
		}
	}
	require.NoError(t, n.Close())
	for _, begun := range []bool{true, false} {
		err := n.routePending(t.Context(), "old", 0, engine.Untyped(engine.OpRenew, "", "", "new", nil), begun, nil)
		require.ErrorIs(t, err, sessionproc.ErrClosed)
		require.Equal(t, begun, sessionproc.MaybeExecuted(err))
	}
}

// A member that this node does not see may be dead, so that a call to it has to be made again: it has a key.
func TestCallToAMemberThatIsNotSeenHasAKey(t *testing.T) {
	n := begin(t, Config{Slot: "a", Logger: slog.New(slog.DiscardHandler), AllowAlone: true,
		Kinds: []sessionproc.AnyKind{newGates(nil, &atomic.Int32{}, sessionproc.MethodConfig{})}})
	a := attempt{node: n}
	require.True(t, a.knowsKeys("192.0.2.1:1"))
	require.False(t, a.knowsKeys(n.self.Addr), "it is seen, and has no standbys")
	a.repeated = true
	require.False(t, a.knowsKeys("192.0.2.1:1"))
}
