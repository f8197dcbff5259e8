package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A load is as large as its argument says.
var (
	loads = sessionproc.KindOf[int]("load")
	weigh = sessionproc.MethodOf[sessionproc.None, int](loads, "weigh")
)

type load struct{ Data []byte }

func newLoads() sessionproc.AnyKind {
	k := sessionproc.NewKind(loads, func(_ context.Context, size int) (*load,
		error) {
		return &load{make([]byte, size)}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, weigh, func(l *load, _ context.Context, _ sessionproc.None) (int, error) {
		return len(l.Data), nil
	})
	return k
}

// A fixture holds on to where it is.
var (
	fixtures = sessionproc.KindOf[sessionproc.None]("fixture")
	touch    = sessionproc.MethodOf[sessionproc.None, sessionproc.None](fixtures, "touch")
)

type fixture struct {
	ended chan<- sessionproc.Reason `msgpack:"-"`
}

func (f *fixture) tell(_ context.Context, reason sessionproc.Reason) { f.ended <- reason }

func newFixtures(ended chan<- sessionproc.Reason) sessionproc.AnyKind {
	k := sessionproc.NewKind(fixtures, func(context.Context, sessionproc.None) (*fixture,
		error) {
		return &fixture{ended}, nil
	},
		sessionproc.KindConfig{EndOnMove: true})
	sessionproc.HandleCall(k, touch, func(*fixture, context.Context, sessionproc.None) (sessionproc.None, error) {
		return sessionproc.None{}, nil
	})
	k.OnEnd((*fixture).tell)
	return k
}

// A state may have 64 MiB; one that has more stays where it is.
func TestStatesUpToMaxStateMove(t *testing.T) {
	shorttest.Skip(t)
	var logA, logB logged
	const room = 32 // for the field's name and the length
	ctx := t.Context()
	a := startNode(t, node.Config{Slot: "a", Logger: logA.Logger(), Kinds: []sessionproc.AnyKind{newLoads()}})
	sizes := map[string]int{
		movesTo(t, "b", "a", "b"): 64<<20 - room,
		movesTo(t, "b", "a", "b"): 64<<20 + 1,
	}
	for id, size := range sizes {
		require.NoError(t, loads.Start(ctx, a, id, size))
	}
	b := startNode(t, node.Config{Slot: "b", Logger: logB.Logger(), Kinds: []sessionproc.AnyKind{newLoads()}}, a)
	require.Eventually(t, func() bool { return a.Sessions() == 1 && b.Sessions() == 1 }, 20*time.Second,
		10*time.Millisecond)
	for id, size := range sizes {
		for _, n := range []*node.Node{a, b} {
			got, err := weigh.Call(ctx, n, id, sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, size, got)
		}
	}
	require.Contains(t, logA.String(), `a session cannot move`)
	require.Contains(t, logA.String(),
		fmt.Sprintf(`kind \"load\": its state: more than %d bytes: a limit is reached: KindConfig.MaxState is %[1]d`,
			64<<20))
}

// A session of a kind that cannot move ends, and can be started anew at once.
func TestEndOnMoveEndsSessions(t *testing.T) {
	var log logged
	ctx := t.Context()
	ended := make(chan sessionproc.Reason, 10)
	a := startNode(t, node.Config{Slot: "a", Logger: log.Logger(), Kinds: []sessionproc.AnyKind{newFixtures(ended)}})
	goes, stays := movesTo(t, "b", "a", "b"), movesTo(t, "a", "a", "b")
	for _, id := range []string{goes, stays} {
		require.NoError(t, fixtures.Start(ctx, a, id, sessionproc.None{}))
	}
	b := startNode(t, node.Config{Slot: "b", Logger: log.Logger(), Kinds: []sessionproc.AnyKind{newFixtures(ended)}}, a)
	require.Equal(t, sessionproc.ReasonMoved, <-ended)
	for _, n := range []*node.Node{a, b} {
		_, err := touch.Call(ctx, n, goes, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		_, err = touch.Call(ctx, n, stays, sessionproc.None{})
		require.NoError(t, err)
	}
	require.NoError(t, fixtures.Start(ctx, a, goes, sessionproc.None{}))
	require.Equal(t, 1, b.Sessions())
	require.NoError(t, a.Leave(ctx), "nothing is left behind")
	require.Equal(t, sessionproc.ReasonMoved, <-ended)
	_, err := touch.Call(ctx, b, goes, sessionproc.None{})
	require.NoError(t, err)
	require.Empty(t, ended)
}
