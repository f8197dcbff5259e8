package node_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A kind that not every node can have, in two releases: in the later one its sessions have
// a timer of a notice that the earlier one lacks.
var (
	trunks      = sessionproc.KindOf[int]("trunk")
	girth       = sessionproc.MethodOf[sessionproc.None, int](trunks, "girth")
	laterTrunks = sessionproc.KindOf[int]("trunk")
	laterGirth  = sessionproc.MethodOf[sessionproc.None, int](laterTrunks, "girth")
	creak       = sessionproc.NoticeOf[sessionproc.None](laterTrunks, "creak")
	pebbles     = sessionproc.KindOf[int]("pebble")
	heft        = sessionproc.MethodOf[sessionproc.None, int](pebbles, "heft")
)

type trunk struct{ Data []byte }

// trunksOf makes the kind of one of the releases.
func trunksOf(cfg sessionproc.KindConfig, later bool) sessionproc.AnyKind {
	ref, measure := trunks, girth
	if later {
		ref, measure = laterTrunks, laterGirth
	}
	k := sessionproc.NewKind(ref, func(ctx context.Context, size int) (*trunk, error) {
		if later {
			creak.After(ctx, time.Hour, sessionproc.None{})
		}
		return &trunk{make([]byte, size)}, nil
	}, cfg)
	sessionproc.HandleCall(k, measure, (*trunk).size)
	if later {
		sessionproc.HandleCast(k, creak, func(*trunk, context.Context, sessionproc.None) error { return nil })
	}
	return k
}

func (s *trunk) size(context.Context, sessionproc.None) (int, error) { return len(s.Data), nil }

func newPebbles() sessionproc.AnyKind {
	k := sessionproc.NewKind(pebbles, func(_ context.Context, size int) (*trunk, error) {
		return &trunk{make([]byte, size)}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, heft, (*trunk).size)
	return k
}

// trunkCluster starts nodes of which each has the kinds that it is given, and sessions on
// the first one.
func trunkCluster(t *testing.T, nodes int, sizes []int, kinds func(i int) []sessionproc.AnyKind) (
	c *nodetest.Cluster, ids []string) {
	c = tuned(t, nodes, func(i int, cfg *node.Config) { cfg.Kinds = kinds(i) })
	c.Settle()
	time.Sleep(2 * time.Second)
	for _, size := range sizes {
		id := idAt(c, 0)
		require.NoError(t, trunks.Start(t.Context(), c.Node(0), id, size))
		ids = append(ids, id)
	}
	return c, ids
}

// What no member can have is known as soon as it was refused for good: Leave does not wait
// for it, takes all else along, and says of which kind it was, how many, and why.
func TestLeaveDoesNotWaitForSessionsRefusedForGood(t *testing.T) {
	noWay := func(int, []byte) ([]byte, error) { return nil, errors.New("no way back") }
	type cfg = sessionproc.KindConfig
	for name, c := range map[string]struct {
		mine, theirs cfg
		without      bool // the others lack the kind
		creaks       bool // the others lack the notice of its timer
		sizes        []int
		lost         int
		why          string
	}{
		"migration":      {theirs: cfg{Schema: 2, Migrate: noWay}, sizes: []int{1, 2, 3}, lost: 3, why: "no way back"},
		"schema":         {mine: cfg{Schema: 2}, sizes: []int{1, 2}, lost: 2, why: "schema 0, this node 2"},
		"kind":           {without: true, sizes: []int{1}, lost: 1, why: "not given the kind"},
		"notice":         {creaks: true, sizes: []int{1, 2}, lost: 2, why: `no notice "creak"`},
		"MaxState":       {mine: cfg{MaxState: 1000}, sizes: []int{5000, 5000}, lost: 2, why: "MaxState is 1000"},
		"MaxState, some": {mine: cfg{MaxState: 1000}, sizes: []int{5000, 1, 2}, lost: 1, why: "MaxState is 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, _ := trunkCluster(t, 3, c.sizes, func(i int) []sessionproc.AnyKind {
					switch {
					case i == 0:
						return []sessionproc.AnyKind{trunksOf(c.mine, c.creaks), newPebbles()}
					case c.without:
						return []sessionproc.AnyKind{newPebbles()}
					}
					return []sessionproc.AnyKind{trunksOf(c.theirs, false), newPebbles()}
				})
				other := idAt(cluster, 0)
				require.NoError(t, pebbles.Start(t.Context(), cluster.Node(0), other, 7))
				ctx := lasting(t, time.Minute)
				begin := time.Now()
				err := cluster.Node(0).Leave(ctx)
				require.Less(t, time.Since(begin), 8*time.Second)
				require.ErrorContains(t, err, fmt.Sprintf(`%d of kind "trunk"`, c.lost))
				require.ErrorContains(t, err, "no member can take")
				require.ErrorContains(t, err, c.why)
				cluster.Crash(0) // it is closed
				got, err := heft.Call(t.Context(), cluster.Node(1), other, sessionproc.None{})
				require.NoError(t, err)
				require.Equal(t, 7, got)
			})
		})
	}
}

// A session with a timer of a notice that its owner's release lacks goes to a member whose
// release has it.
func TestSessionGoesToAMemberThatKnowsItsTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		for n := range 20 {
			sizes = append(sizes, n)
		}
		c, ids := trunkCluster(t, 4, sizes, func(i int) []sessionproc.AnyKind {
			return []sessionproc.AnyKind{trunksOf(sessionproc.KindConfig{}, i == 0 || i == 3)}
		})
		begin := time.Now()
		c.Leave(0)
		require.Less(t, time.Since(begin), 20*time.Second)
		for n, id := range ids {
			got, err := girth.Call(t.Context(), c.Node(1), id, sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, n, got)
		}
	})
}

// A member that is full is asked again as soon as it has room.
func TestRefusedSessionsMoveOnceThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ids := trunkCluster(t, 2, []int{1, 2, 3, 4, 5}, func(int) []sessionproc.AnyKind {
			return []sessionproc.AnyKind{trunksOf(sessionproc.KindConfig{MaxSessions: 5}, false)}
		})
		var theirs []string
		for range 5 {
			id := idAt(c, 1)
			theirs = append(theirs, id)
			require.NoError(t, trunks.Start(t.Context(), c.Node(1), id, 0))
		}
		go func() {
			time.Sleep(20 * time.Second)
			for _, id := range theirs {
				_ = c.Node(1).Terminate(context.Background(), id)
			}
		}()
		begin := time.Now()
		c.Leave(0)
		require.Less(t, time.Since(begin), 25*time.Second)
		for n, id := range ids {
			got, err := girth.Call(t.Context(), c.Node(1), id, sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, n+1, got)
		}
	})
}
