package integration_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// requireClosed checks that every operation of n says that it is closed.
func requireClosed(t *testing.T, n *member) {
	t.Helper()
	ctx, id := t.Context(), sessionproc.NewID()
	_, ensured := n.Ensure(ctx, id, node.StartOptions{Kind: counters.Name()})
	_, started := n.Started(ctx, id)
	_, called := get.Call(ctx, n, id, sessionproc.None{})
	_, where := n.Where(id)
	for what, err := range map[string]error{
		"Start":       n.Start(ctx, id, node.StartOptions{Kind: counters.Name()}),
		"typed Start": counters.Start(ctx, n, id, 1),
		"Ensure":      ensured,
		"Started":     started,
		"Terminate":   n.Terminate(ctx, id),
		"Call":        n.Call(ctx, id, "get", nil, nil),
		"typed Call":  called,
		"Cast":        n.Cast(ctx, id, "add one", nil),
		"typed Cast":  addOne.Cast(ctx, n, id, sessionproc.None{}),
		"Where":       where,
		"Ready":       n.Ready(),
		"Drain":       n.Drain(ctx),
		"Evict":       n.Evict("x/1"),
	} {
		require.ErrorIs(t, err, sessionproc.ErrClosed, what)
	}
}

// requirePortFree listens where the node has listened.
func requirePortFree(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	u, err := net.ListenPacket("udp", addr)
	require.NoError(t, err)
	require.NoError(t, u.Close())
}

// TestAcceptance40_EndsInTimeAndLeavesNothing ends the node that owns a busy
// session (owner), and the node that calls it (remote).
func TestAcceptance40_EndsInTimeAndLeavesNothing(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		end  func(t *testing.T, n *member) error
		left bool // the others are told
	}{
		{"leave", func(t *testing.T, n *member) error { return n.Leave(within(t, 10*time.Second)) }, true},
		{"leave_with_an_ended_ctx", func(_ *testing.T, n *member) error { return n.Leave(ended) }, true},
		{"drain_and_leave", func(t *testing.T, n *member) error {
			return errors.Join(n.Drain(within(t, 10*time.Second)), n.Leave(within(t, 10*time.Second)))
		}, true},
		{"close", func(_ *testing.T, n *member) error { return n.Close() }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, where := range []string{"owner", "remote"} {
				t.Run(where, func(t *testing.T) {
					shared.get(t) // so that its goroutines are not taken for ours
					leak := goleak.IgnoreCurrent()
					members, err := startCluster(2, node.Config{Secret: node.NewSecret()})
					require.NoError(t, err)
					busy := keepBusy(t, members[1], idOn(t, members[1], members[0].Slot()))
					ending, other := members[i], members[1-i]
					addr := ending.Addr()

					// What Leave returns is whether sessions were lost; that it
					// ends is what counts here.
					quickly(t, 8*time.Second, func() { _ = c.end(t, ending) })
					requirePortFree(t, addr)
					requireClosed(t, ending)
					quickly(t, time.Second, func() {
						require.NoError(t, ending.Close())
						require.NoError(t, ending.Leave(t.Context()))
						require.NoError(t, ending.Close())
					})
					if c.left {
						quickly(t, 1500*time.Millisecond, func() {
							require.NoError(t, other.awaitServing(within(t, 10*time.Second), 1))
						})
						id := idOn(t, other, other.Slot())
						require.NoError(t, counters.Start(t.Context(), other, id, 1))
						require.NoError(t, other.Terminate(t.Context(), id))
					}
					busy()
					quickly(t, 8*time.Second, func() { require.NoError(t, other.Close()) })
					require.NoError(t, findLeaks(leak))
				})
			}
		})
	}
}

// keepBusy has callers at n call session id until the returned function is
// called. Every call ends, with whatever error.
func keepBusy(t *testing.T, n *member, id string) (stop func()) {
	t.Helper()
	require.NoError(t, probes.Start(t.Context(), n, id, probeArg{}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	const callers = 8
	for range callers {
		go func() {
			for ctx.Err() == nil {
				if _, err := sleep.Call(ctx, n, id, nap{For: time.Millisecond}); err != nil {
					time.Sleep(time.Millisecond)
				}
			}
			done <- struct{}{}
		}()
	}
	events.await(t, id, "asleep")
	return func() {
		cancel()
		quickly(t, 5*time.Second, func() {
			for range callers {
				<-done
			}
		})
	}
}

func TestAcceptance40_WaitingCallersAreTold(t *testing.T) {
	for i, where := range []string{"owner", "remote"} {
		t.Run(where, func(t *testing.T) {
			members := newCluster(t, 2, node.Config{})
			id := idOn(t, members[i], "a")
			require.NoError(t, probes.Start(t.Context(), members[i], id, probeArg{}))
			done := make(chan error, 1)
			go func() {
				_, err := waitForEnd.Call(t.Context(), members[i], id, sessionproc.None{})
				done <- err
			}()
			events.await(t, id, "waiting")
			quickly(t, 3*time.Second, func() {
				require.NoError(t, members[i].Close())
				err := <-done
				require.ErrorIs(t, err, sessionproc.ErrClosed)
				require.True(t, sessionproc.MaybeExecuted(err))
			})
			quickly(t, 3*time.Second, func() { events.await(t, id, "ctx ended") })
		})
	}
}
