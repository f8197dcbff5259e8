package integration_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestAcceptance01_StartedIsFalseThenTrue(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		started, err := p.from.Started(t.Context(), id)
		require.NoError(t, err)
		require.False(t, started)

		require.NoError(t, p.from.Start(t.Context(), id, node.StartOptions{Kind: counters.Name(), Arg: 7}))
		p.move(t)
		for _, n := range p.all() {
			started, err = n.Started(t.Context(), id)
			require.NoError(t, err)
			require.True(t, started, "as %s sees it", n.Slot())
		}
		requireCount(t, p, id, 7)
	})
}

func TestAcceptance02_TerminateEndsOnce(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		require.NoError(t, p.from.Terminate(t.Context(), id))
		events.await(t, id, "ended "+string(sessionproc.ReasonTerminated))
		requireAbsent(t, p.from, id)
		require.ErrorIs(t, p.from.Terminate(t.Context(), id), sessionproc.ErrNotFound)
	})
}

func TestAcceptance03_StateIsKeptAndCastsGoBeforeCalls(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		kept, id := p.startCounter(t, 123), p.startCounter(t, 0)
		require.NoError(t, addOne.Cast(t.Context(), p.from, id, sessionproc.None{}))
		p.move(t)
		requireCount(t, p, kept, 123)
		requireCount(t, p, id, 1)
	})
}

func TestAcceptance03_UntypedRequestsDoTheSame(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startCounter(t, 5)
		require.NoError(t, p.from.Cast(t.Context(), id, addOne.Name(), nil))
		p.move(t)
		var n int
		require.NoError(t, p.from.Call(t.Context(), id, add.Name(), 10, &n))
		require.Equal(t, 16, n)
		require.NoError(t, p.from.Call(t.Context(), id, get.Name(), nil, nil), "a reply that nobody wants")
	})
}

func TestAcceptance04_StartWithoutAKindUsesTheDefaultKind(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, p.from.Start(t.Context(), id, node.StartOptions{Arg: 5}))
		p.move(t)
		requireCount(t, p, id, 5)

		id = p.id(t)
		err := p.from.Start(t.Context(), id, node.StartOptions{Kind: "cart"})
		require.ErrorIs(t, err, sessionproc.ErrUnknownKind)
		require.ErrorContains(t, err, "cart")
		requireAbsent(t, p.from, id)
	})
}

func TestAcceptance04_NoDefaultKindIsSaidClearly(t *testing.T) {
	members := newCluster(t, 2, node.Config{})
	for i, where := range []string{"owner", "remote"} {
		t.Run(where, func(t *testing.T) {
			id := idOn(t, members[0], "a")
			err := members[i].Start(t.Context(), id, node.StartOptions{Arg: 5})
			require.ErrorIs(t, err, sessionproc.ErrUnknownKind)
			require.ErrorContains(t, err, "DefaultKind")
		})
	}
}

func TestAcceptance05_SecondStartLeavesTheFirstAlone(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startCounter(t, 1)
		p.move(t)
		for what, err := range map[string]error{
			"the same":        counters.Start(t.Context(), p.from, id, 1),
			"another value":   counters.Start(t.Context(), p.from, id, 2),
			"another kind":    probes.Start(t.Context(), p.from, id, probeArg{}),
			"untyped":         p.from.Start(t.Context(), id, node.StartOptions{Arg: 3}),
			"an unknown kind": p.from.Start(t.Context(), id, node.StartOptions{Kind: "cart"}),
			"another type":    p.from.Start(t.Context(), id, node.StartOptions{Arg: "three"}),
		} {
			require.ErrorIs(t, err, sessionproc.ErrAlreadyStarted, what)
		}
		requireCount(t, p, id, 1)

		id = p.id(t)
		for _, want := range []bool{true, false} {
			started, err := counters.Ensure(t.Context(), p.from, id, 4)
			require.NoError(t, err)
			require.Equal(t, want, started)
		}
		started, err := p.from.Ensure(t.Context(), id, node.StartOptions{Arg: 9})
		require.NoError(t, err)
		require.False(t, started)
		requireCount(t, p, id, 4)
	})
}

func TestAcceptance06_ConcurrentStartsHaveOneWinner(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		gate := make(chan struct{})
		for i := range 50 {
			n := p.all()[i%len(p.all())]
			wg.Go(func() {
				<-gate
				switch err := counters.Start(t.Context(), n, id, i+1); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, sessionproc.ErrAlreadyStarted):
					lost.Add(1)
				default:
					assert.NoError(t, err)
				}
			})
		}
		moved := p.beginMove(t)
		close(gate)
		wg.Wait()
		moved()
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 49, lost.Load())
		require.Equal(t, 1, events.times(id, "started"), "the start function ran once")
	})
}

func TestAcceptance07_FailedStartLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		how   string
		check func(t *testing.T, err error)
	}{
		{"own error", func(t *testing.T, err error) { require.ErrorIs(t, err, errSoldOut) }},
		{"other error", func(t *testing.T, err error) { require.ErrorContains(t, err, "the shelf is empty") }},
		{"panic", func(t *testing.T, err error) {
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
			require.NotContains(t, err.Error(), "the shelf fell down")
		}},
	} {
		t.Run(strings.ReplaceAll(c.how, " ", "_"), func(t *testing.T) {
			eachPlace(t, func(t *testing.T, p place) {
				id := p.id(t)
				c.check(t, fragile.Start(t.Context(), p.from, id, c.how))
				_, err := fragile.Ensure(t.Context(), p.from, id, c.how)
				c.check(t, err)
				requireAbsent(t, p.from, id)

				require.NoError(t, fragile.Start(t.Context(), p.from, id, "fine"))
				p.move(t)
				how, err := howMade.Call(t.Context(), p.from, id, sessionproc.None{})
				require.NoError(t, err)
				require.Equal(t, "fine", how)
			})
		})
	}
}

func TestAcceptance07_SlowStartDelaysNoOther(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		slow := p.id(t)
		where, err := p.from.Where(slow)
		require.NoError(t, err)
		others := make([]string, 20)
		for i := range others {
			others[i] = p.id(t)
			if i < 3 { // in the very same partition
				for place, err := p.from.Where(others[i]); err == nil &&
					place.Partition != where.Partition; place, err = p.from.Where(others[i]) {
					others[i] = sessionproc.NewID()
				}
			}
		}
		done := make(chan error, 1)
		go func() { done <- fragile.Start(t.Context(), p.from, slow, "slow") }()
		t.Cleanup(func() { events.open(slow) })
		time.Sleep(50 * time.Millisecond) // it has begun, or at worst the test is lenient
		moved := p.beginMove(t)
		for _, id := range others {
			quickly(t, 5*time.Second, func() { // they would wait for as long as their ctx, 15 s
				require.NoError(t, fragile.Start(t.Context(), p.from, id, "fine"))
			})
		}
		require.Empty(t, done)
		events.open(slow)
		require.NoError(t, <-done)
		moved()
	})
}

func TestAcceptance08_SessionKnowsItsIDAndKind(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		who, err := whoAmI.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, identity{ID: id, Kind: "probe", StartID: id, StartKind: "probe", Number: "none"}, who)
	})
}

func TestAcceptance09_ExplicitZeroArgumentArrives(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		zero := 0
		id := p.id(t)
		require.NoError(t, probes.Start(t.Context(), p.from, id, probeArg{Number: &zero}))
		p.move(t)
		who, err := whoAmI.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, "0", who.Number)

		id = p.id(t)
		require.NoError(t, p.from.Start(t.Context(), id, node.StartOptions{Kind: probes.Name(),
			Arg: probeArg{Number: &zero}}))
		who, err = whoAmI.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, "0", who.Number)

		id = p.id(t)
		require.NoError(t, p.from.Start(t.Context(), id, node.StartOptions{Arg: 0}))
		requireCount(t, p, id, 0)
	})
}
