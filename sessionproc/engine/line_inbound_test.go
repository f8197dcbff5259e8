package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// remote is a request of another node that has a second.
func remoteTo(t *testing.T, op core.Op, m string) *engine.Inbound {
	in := &engine.Inbound{Op: op, ID: "a", Kind: "scripted", Method: "do", Payload: encoded(t, m), Peer: "b",
		Deadline: time.Now().Add(time.Second)}
	if op == core.OpCast {
		in.Method = "note"
	}
	return in
}

// got returns the answer, if it is there.
func (a answers) got(t *testing.T) (answer, bool) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-a:
		require.Empty(t, a, "a second answer")
		return got, true
	default:
		return answer{}, false
	}
}

// Serve returns at once for requests of other nodes that have to wait for a place; they
// are answered when they have one, or that they had none, in time for their callers.
func TestRequestsOfOtherNodesStandInTheLine(t *testing.T) {
	for _, op := range []core.Op{core.OpCall, core.OpCast} {
		for _, patient := range []bool{false, true} {
			t.Run(op.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					l, open, got := crowded(t, script{})
					first, second := remoteTo(t, op, "first"), remoteTo(t, op, "second")
					first.Patient, second.Patient = true, patient
					first.Deadline = time.Now().Add(time.Minute)
					begun := time.Now()
					a, b := serving(l, first), serving(l, second)
					require.Zero(t, time.Since(begun))
					_, answered := a.got(t)
					require.False(t, answered)
					require.Equal(t, 2, details(t, l, "a").Line)
					in := 980 * time.Millisecond
					if op == core.OpCast && !patient {
						in = 50 * time.Millisecond
					}
					time.Sleep(in - time.Millisecond)
					_, answered = b.got(t)
					require.False(t, answered)
					time.Sleep(time.Millisecond)
					failed, answered := b.got(t)
					require.True(t, answered)
					require.ErrorIs(t, failed.err, sessionproc.ErrOverloaded)
					require.ErrorContains(t, failed.err, "waited behind 3 messages for a place")
					require.False(t, failed.maybe)
					require.Equal(t, in > tenth, errors.Is(failed.err, context.DeadlineExceeded))
					require.Equal(t, 1, details(t, l, "a").Line)
					open()
					done, answered := a.got(t)
					require.True(t, answered)
					require.NoError(t, done.err)
					require.Equal(t, op == core.OpCast, done.ack)
					require.Equal(t, []string{"block", "1", "2", "first"}, got())
				})
			})
		}
	}
}

// A caller that has gone takes its request out of the line.
func TestACancelledRequestLeavesTheLine(t *testing.T) {
	for _, op := range []core.Op{core.OpCall, core.OpCast} {
		t.Run(op.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, open, got := crowded(t, script{})
				gone, goes, stays := remoteTo(t, op, "gone"), remoteTo(t, op, "goes"), remoteTo(t, op, "stays")
				gone.Cancel() // before it is served
				a, b, c := serving(l, gone), serving(l, goes), serving(l, stays)
				failed, answered := a.got(t)
				require.True(t, answered)
				require.ErrorIs(t, failed.err, context.Canceled)
				goes.Cancel()
				failed, answered = b.got(t)
				require.True(t, answered)
				require.ErrorIs(t, failed.err, context.Canceled)
				require.False(t, failed.maybe)
				require.True(t, failed.held)
				require.Equal(t, 1, details(t, l, "a").Line)
				open()
				done, answered := c.got(t)
				require.True(t, answered)
				require.NoError(t, done.err)
				require.Equal(t, []string{"block", "1", "2", "stays"}, got())
				stays.Cancel() // too late
				_, answered = c.got(t)
				require.False(t, answered)
			})
		})
	}
}

// What becomes of the library's own messages for a session whose mailbox is full.
func TestFullMailboxTakesTimersAndWatchesButNoBroadcast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		ref := sessionproc.KindOf[int]("full")
		block := sessionproc.MethodOf[sessionproc.None, sessionproc.None](ref, "block")
		fill, ring := sessionproc.NoticeOf[string](ref, "fill"), sessionproc.NoticeOf[string](ref, "ring")
		ended, number := sessionproc.NoticeOf[sessionproc.Ended](ref, "ended"), sessionproc.EventOf[int](ref, "number")
		k := sessionproc.NewKind(ref, startsAs[counter], sessionproc.KindConfig{Mailbox: 1})
		var got []string
		sessionproc.HandleCall(k, block, func(_ *counter, ctx context.Context, _ sessionproc.None) (n sessionproc.None,
			err error) {
			ring.After(ctx, tenth, "timer")
			sessionproc.Watch(ctx, "watched", ended)
			<-gate
			return n, nil
		})
		hear := func(_ *counter, _ context.Context, m string) error { got = append(got, m); return nil }
		sessionproc.HandleCast(k, fill, hear)
		sessionproc.HandleCast(k, ring, hear)
		sessionproc.HandleCast(k, ended, func(_ *counter, _ context.Context,
			e sessionproc.Ended) error {
			got = append(got, e.ID)
			return nil
		})
		sessionproc.HandleEvent(k, number, func(*counter) int { return 1 })
		s := sharingWith(t, func(*engine.TableConfig) {}, k)
		for _, id := range []string{"a", "watched"} {
			require.NoError(t, ref.Start(t.Context(), s, id, 0))
		}
		ctx := lasting(t, time.Minute)
		first := make(chan error, 1)
		go func() {
			_, err := block.Call(ctx, s, "a", sessionproc.None{})
			first <- err
		}()
		synctest.Wait()
		require.NoError(t, fill.Cast(ctx, s, "a", "fills"))

		// Neither a timer nor a watch needs a place.
		require.NoError(t, s.terminate(ctx, "watched"))
		time.Sleep(tenth)
		synctest.Wait()
		require.Equal(t, 3, details(t, s.local, "a").Waiting)
		// A broadcast passes over the session, and does not wait.
		begun := time.Now()
		r, moving, err := s.table.Broadcast("full", fill.Name(), encoded(t, "broadcast"), false, 0, nil)
		require.NoError(t, err)
		require.Equal(t, sessionproc.Reach{Full: 1}, r)
		require.Empty(t, moving)
		// As does one that is sent on to where a session has moved.
		err = s.Deliver(ctx, "a", engine.Coded("full", fill.Name(), encoded(t, "sent on"), false))
		require.ErrorIs(t, err, sessionproc.ErrOverloaded)
		require.Zero(t, time.Since(begun))
		// A subscription that wants the present value stands in the line, as a call.
		subscribed := make(chan error, 1)
		go func() {
			sub, err := number.Subscribe(ctx, s, "a", sessionproc.SubscribeOptions{})
			if err == nil {
				sub.Close()
			}
			subscribed <- err
		}()
		synctest.Wait()
		require.Equal(t, 1, details(t, s.local, "a").Line)
		polls := s.polls.Load()
		time.Sleep(10 * time.Second)
		require.Equal(t, polls, s.polls.Load(), "nobody asks again and again")
		close(gate)
		require.NoError(t, <-first)
		require.NoError(t, <-subscribed)
		require.Equal(t, []string{"fills", "watched", "timer"}, got)
	})
}
