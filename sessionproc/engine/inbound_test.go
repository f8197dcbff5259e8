package engine_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// answer is what an Inbound got.
type answer struct {
	payload     []byte
	raw, ack    bool
	err         error
	maybe, held bool
}

// answers is an Answer that keeps what it gets; a second one is kept as well.
type answers chan answer

func (a answers) Reply(payload []byte, raw bool) {
	a <- answer{payload: append([]byte(nil), payload...), raw: raw}
}
func (a answers) Ack() { a <- answer{ack: true} }
func (a answers) Fail(err error, maybe, held bool) {
	a <- answer{err: err, maybe: maybe, held: held}
}

func encoded(t testing.TB, v any) []byte {
	b, _, err := core.EncodeValue(nil, v)
	require.NoError(t, err)
	return b
}

func serving(l *local, in *engine.Inbound) answers {
	a := make(answers, 2)
	in.Answer = a
	l.table.Serve(part(in.ID), in)
	return a
}

// serve gives in to its session and waits for the one answer.
func serve(t testing.TB, l *local, in *engine.Inbound) answer {
	a := serving(l, in)
	select {
	case got := <-a:
		require.Empty(t, a, "a second answer")
		return got
	case <-time.After(5 * time.Second):
		t.Fatal("no answer")
		panic("unreachable")
	}
}

func TestInboundRequestsAreAnsweredByTheirOp(t *testing.T) {
	l := newLocal(t, newCounters(), script{}.make())
	req := func(op core.Op, kind, method string, payload []byte) *engine.Inbound {
		return &engine.Inbound{Op: op, ID: "a", Kind: kind, Method: method, Payload: payload}
	}
	is := func(want error, in *engine.Inbound) {
		t.Helper()
		got := serve(t, l, in)
		if want == nil {
			require.NoError(t, got.err)
			return
		}
		require.ErrorIs(t, got.err, want)
		require.False(t, got.maybe)
	}
	call, cast := core.OpCall, core.OpCast
	is(sessionproc.ErrNotFound, req(call, "counter", "add", encoded(t, 1)))
	is(sessionproc.ErrNotFound, req(cast, "counter", "bump", encoded(t, nil)))
	is(sessionproc.ErrNotFound, req(core.OpTerminate, "", "", nil))
	is(sessionproc.ErrUnknownKind, req(core.OpStart, "nothing", "", encoded(t, 1)))
	is(sessionproc.ErrUnknownKind, req(core.OpStart, "", "", encoded(t, 1)))
	is(sessionproc.ErrBadRequest, req(core.OpStart, "counter", "", encoded(t, "text")))
	require.Equal(t, []byte{0}, serve(t, l, req(core.OpStarted, "", "", nil)).payload)

	is(nil, req(core.OpStart, "counter", "", encoded(t, 5)))
	is(sessionproc.ErrAlreadyStarted, req(core.OpStart, "scripted", "", encoded(t, "")))
	is(sessionproc.ErrAlreadyStarted, req(core.OpEnsure, "counter", "", encoded(t, 5)))
	is(sessionproc.ErrWrongKind, req(core.OpEnsure, "scripted", "", encoded(t, "")))
	require.Equal(t, []byte{1}, serve(t, l, req(core.OpStarted, "", "", nil)).payload)

	is(sessionproc.ErrUnknownMethod, req(call, "counter", "nothing", encoded(t, 1)))
	is(sessionproc.ErrUnknownMethod, req(call, "counter", "bump", encoded(t, 1)))
	is(sessionproc.ErrUnknownMethod, req(cast, "counter", "add", encoded(t, 1)))
	is(sessionproc.ErrWrongKind, req(call, "scripted", "do", encoded(t, "")))
	is(sessionproc.ErrBadRequest, req(call, "counter", "add", encoded(t, "text")))
	is(sessionproc.ErrBadRequest, req(call, "counter", "add", []byte{0xc1}))
	is(sessionproc.ErrUnsupported, req(99, "", "", nil))
	require.True(t, serve(t, l, req(cast, "", "bump", encoded(t, nil))).ack)
	is(nil, req(cast, "counter", "bump", []byte{0xc1})) // nobody waits; the session lives

	got := serve(t, l, req(call, "", "add", encoded(t, 10)))
	require.NoError(t, got.err)
	require.Equal(t, encoded(t, 16), got.payload)
	is(nil, req(core.OpTerminate, "", "", nil))
	requireNothingLeft(t, l)
}

// An Inbound is used again after its answer.
func TestAnInboundCanBeUsedAgain(t *testing.T) {
	l := newLocal(t, newCounters())
	require.NoError(t, counters.Start(t.Context(), l, "a", 0))
	in := &engine.Inbound{Op: core.OpCall, ID: "a", Method: "add", Payload: encoded(t, 1)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // Terminates that look at what the session does
		for {
			select {
			case <-stop:
				return
			default:
				_ = l.terminate(context.Background(), "a")
			}
		}
	})
	for range 2000 {
		got := serve(t, l, in)
		if got.held {
			in = &engine.Inbound{Op: core.OpCall, ID: "a", Method: "add", Payload: encoded(t, 1)}
		}
		if got.err != nil {
			_, _ = counters.Ensure(t.Context(), l, "a", 0) // unless it is terminated just then
		}
	}
	close(stop)
	wg.Wait()
}

func TestCancelEndsQueuedAndRunningInbounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ran []string
		ended := make(chan error, 1)
		l := newScripted(t, script{
			do: func(ctx context.Context, r string) (string, error) {
				ran = append(ran, r)
				<-ctx.Done()
				ended <- ctx.Err()
				return "", ctx.Err()
			},
			start: func(ctx context.Context, arg string) error {
				if arg == "slow" {
					<-ctx.Done()
					ended <- ctx.Err()
				}
				return nil
			},
		})
		l.start(t, "a")
		request := func(r string) *engine.Inbound {
			return &engine.Inbound{Op: core.OpCall, ID: "a", Method: "do", Payload: encoded(t, r)}
		}
		running, queued := request("running"), request("queued")
		first := serving(l, running)
		synctest.Wait()
		second := serving(l, queued)
		queued.Cancel()
		queued.Cancel()
		got := <-second
		require.ErrorIs(t, got.err, context.Canceled)
		require.False(t, got.maybe)
		require.True(t, got.held, "it is still in the mailbox")
		running.Cancel()
		got = <-first
		require.ErrorIs(t, got.err, context.Canceled)
		require.True(t, got.maybe)
		require.True(t, got.held)
		require.ErrorIs(t, <-ended, context.Canceled)
		synctest.Wait()
		running.Cancel()
		require.Empty(t, first, "a late reply reaches nobody")
		require.Empty(t, second)
		require.Equal(t, []string{"running"}, ran)

		early := request("early") // its caller goes while it waits to be served
		early.Cancel()
		got = serve(t, l, early)
		require.ErrorIs(t, got.err, context.Canceled)
		require.False(t, got.maybe)
		synctest.Wait()
		require.Equal(t, []string{"running"}, ran)

		start := &engine.Inbound{Op: core.OpStart, ID: "b", Kind: "scripted", Payload: encoded(t, "slow")}
		third := serving(l, start)
		synctest.Wait()
		start.Cancel()
		got = <-third
		require.ErrorIs(t, got.err, context.Canceled)
		require.True(t, got.maybe)
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func TestAnInboundPastItsDeadlineInTheQueueNeverRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ran []string
		l := newScripted(t, script{do: func(_ context.Context, r string) (string, error) {
			ran = append(ran, r)
			time.Sleep(time.Second)
			return r, nil
		}})
		l.start(t, "a")
		request := func(r string, d time.Duration) *engine.Inbound {
			return &engine.Inbound{Op: core.OpCall, ID: "a", Method: "do", Payload: encoded(t, r),
				Deadline: time.Now().Add(d)}
		}
		first := serving(l, request("first", time.Minute))
		synctest.Wait()
		late, good := serving(l, request("late", time.Second/2)), serving(l, request("good", time.Minute))
		require.NoError(t, (<-first).err)
		got := <-late
		require.ErrorIs(t, got.err, context.DeadlineExceeded)
		require.False(t, got.maybe)
		require.NoError(t, (<-good).err)
		require.Equal(t, []string{"first", "good"}, ran)
	})
}

// The bytes of a cast belong to the connection again after its Ack.
func TestInboundCastsAreCopied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got []string
		gate := make(chan struct{})
		l := newScripted(t, script{
			note: func(_ context.Context, m string) error { got = append(got, m); return nil },
			do:   func(context.Context, string) (string, error) { <-gate; return "", nil },
		})
		l.start(t, "a")
		call := doing(t.Context(), l, "a", "")
		synctest.Wait()
		in := &engine.Inbound{Op: core.OpCast, ID: "a", Method: "note"}
		for _, m := range []string{"one", "two"} { // the same Inbound
			in.Payload = encoded(t, m)
			require.True(t, serve(t, l, in).ack)
			copy(in.Payload, "\xa3xxx")
		}
		close(gate)
		require.NoError(t, <-call)
		synctest.Wait()
		require.Equal(t, []string{"one", "two"}, got)
	})
}

func TestInboundOfASessionThatEndsIsAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{do: func(ctx context.Context, r string) (string, error) {
			if r == "crash" {
				panic(panicText)
			}
			<-ctx.Done()
			return "", nil
		}})
		l.start(t, "a")
		request := func(r string) *engine.Inbound {
			return &engine.Inbound{Op: core.OpCall, ID: "a", Method: "do", Payload: encoded(t, r)}
		}
		first := serving(l, request("wait"))
		synctest.Wait()
		second := serving(l, request("wait"))
		require.NoError(t, l.terminate(t.Context(), "a"))
		for i, a := range []answers{first, second} {
			got := <-a
			require.ErrorIs(t, got.err, sessionproc.ErrTerminated)
			require.Equal(t, i == 0, got.maybe)
			require.True(t, got.held)
			require.Empty(t, a)
		}
		l.start(t, "a")
		got := serve(t, l, request("crash"))
		require.ErrorIs(t, got.err, sessionproc.ErrCrashed)
		require.True(t, got.maybe)
		require.NotContains(t, got.err.Error(), panicText)
	})
}

func TestAFullMailboxFailsAnInbound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, open, first := blocked(t, sessionproc.KindConfig{Mailbox: 1}, sessionproc.MethodConfig{NoWait: true})
		require.NoError(t, note.Cast(t.Context(), l, "a", ""))
		in := &engine.Inbound{Op: core.OpCall, ID: "a", Method: "do", Payload: encoded(t, "x")}
		got := serve(t, l, in)
		require.ErrorIs(t, got.err, sessionproc.ErrOverloaded)
		require.False(t, got.maybe || got.held)
		in.Cancel() // comes too late, and must not answer again
		require.Empty(t, in.Answer.(answers))
		open()
		require.NoError(t, <-first)
		synctest.Wait()
		in.Begin()
		require.NoError(t, serve(t, l, in).err, "it is used again")
	})
}

func TestUntypedRequestsWorkAsTypedOnes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{do: func(ctx context.Context, r string) (string, error) {
			if r == "wait" {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return strings.ToUpper(r), nil
		}})
		send := func(ctx context.Context, op core.Op, method string, request, reply any) error {
			return l.Deliver(ctx, "a", engine.Untyped(op, "scripted", method, request, reply))
		}
		require.NoError(t, send(t.Context(), core.OpStart, "", nil, nil))
		started, err := core.Ensured(send(t.Context(), core.OpEnsure, "", nil, nil))
		require.NoError(t, err)
		require.False(t, started)
		var reply string
		require.NoError(t, send(t.Context(), core.OpCall, "do", "x", &reply))
		require.Equal(t, "X", reply)
		require.NoError(t, send(t.Context(), core.OpCall, "do", "x", nil))
		err = send(t.Context(), core.OpCall, "do", "x", new(int))
		require.ErrorIs(t, err, sessionproc.ErrBadReply)
		require.True(t, sessionproc.MaybeExecuted(err))
		require.ErrorIs(t, send(t.Context(), core.OpCall, "do", []int{1}, nil), sessionproc.ErrBadRequest)
		require.ErrorIs(t, send(t.Context(), core.OpCall, "do", func() {}, nil), sessionproc.ErrBadRequest)
		require.NoError(t, send(t.Context(), core.OpCast, "note", "x", nil))
		var op *sessionproc.OpError
		require.ErrorAs(t, send(t.Context(), core.OpCall, "none", "x", nil), &op)
		require.Equal(t, []string{"call", "a", "scripted", "none"}, []string{op.Op, op.ID, op.Kind, op.Method})

		ctx := lasting(t, time.Second)
		err = send(ctx, core.OpCall, "do", "wait", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, sessionproc.MaybeExecuted(err))
		begin := time.Now()
		require.ErrorIs(t, send(context.Background(), core.OpCall, "do", "wait", nil), context.DeadlineExceeded)
		require.Equal(t, 15*time.Second, time.Since(begin), "CallTimeout")
		require.NoError(t, send(t.Context(), core.OpCall, "do", "x", nil))
	})
}
