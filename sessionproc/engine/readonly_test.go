package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// What is ReadOnly is no change, whatever way it comes: a call or a cast, from here or
// another node, typed or by name, or the message of a timer.
func TestReadOnlyMessageIsNoChange(t *testing.T) {
	for _, readOnly := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			cfg := sessionproc.MethodConfig{ReadOnly: readOnly}
			s := script{method: cfg, notice: cfg, start: func(ctx context.Context, _ string) error {
				note.After(ctx, time.Second, "timer")
				return nil
			}}
			l := newScripted(t, s)
			l.start(t, "a")
			inbound := func(op core.Op, method string) func() error {
				return func() error {
					return serve(t, l, &engine.Inbound{Op: op, ID: "a", Method: method, Payload: encoded(t, "x")}).err
				}
			}
			untyped := func(op core.Op, method string) func() error {
				return func() error {
					return l.Deliver(t.Context(), "a", engine.Untyped(op, "", method, "x", nil))
				}
			}
			for what, send := range map[string]func() error{
				"call":         func() error { _, err := do.Call(t.Context(), l, "a", "x"); return err },
				"cast":         func() error { return note.Cast(t.Context(), l, "a", "x") },
				"far call":     inbound(core.OpCall, "do"),
				"far cast":     inbound(core.OpCast, "note"),
				"untyped call": untyped(core.OpCall, "do"),
				"untyped cast": untyped(core.OpCast, "note"),
				"broadcast": func() error {
					_, _, err := l.table.Broadcast("scripted", "note", encoded(t, "x"), false, 0, nil)
					return err
				},
				"timer": func() error { time.Sleep(2 * time.Second); return nil },
			} {
				before := versionOf(t, l, "a")
				require.NoError(t, send(), what)
				synctest.Wait()
				require.Equal(t, readOnly, before.Covers(versionOf(t, l, "a")), what)
			}
		})
	}
}

// versionOf is the version of a session that goes on here.
func versionOf(t *testing.T, l *local, id string) engine.Version {
	b, err := take(t, l, id)
	require.NoError(t, err)
	v, err := engine.SnapshotVersion(b)
	require.NoError(t, err)
	l.table.Resume(part(id), id)
	return v
}

// A state that writes no bytes at all is kept for a restart, too.
func TestEmptyStateIsKeptForARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{kind: sessionproc.KindConfig{Restart: sessionproc.RestartLastState},
			do: func(_ context.Context, r string) (string, error) { panic(r) }})
		l.start(t, "s")
		for range 3 {
			_, err := do.Call(t.Context(), l, "s", "x")
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
		}
		require.NoError(t, l.terminate(t.Context(), "s"), "it is there, in its back-off")
	})
}

// Whatever a session does, a call that waits behind that says what it is.
func TestWaitingCallSaysWhatRunsBeforeIt(t *testing.T) {
	begun := make(chan struct{}, 9)
	blocks := func() { begun <- struct{}{}; time.Sleep(30 * time.Second) }
	s := script{
		do: func(_ context.Context, r string) (string, error) {
			if r == "block" {
				blocks()
			}
			return r, nil
		},
		note: func(context.Context, string) error { blocks(); return nil },
		start: func(ctx context.Context, arg string) error {
			if arg == "timer" {
				note.After(ctx, time.Second, "timer")
				return nil
			}
			return nil
		},
	}
	for what, c := range map[string]struct {
		block func(ctx context.Context, l *local)
		says  string
	}{
		"call": {func(ctx context.Context, l *local) { go func() { _, _ = do.Call(ctx, l, "a", "block") }() },
			"the handler of do"},
		"cast": {func(ctx context.Context, l *local) { _ = note.Cast(ctx, l, "a", "x") }, "the handler of note"},
		"far call": {func(ctx context.Context, l *local) {
			serving(l, &engine.Inbound{Op: core.OpCall, ID: "a", Method: "do", Payload: []byte("\xa5block")})
		}, "the handler of do"},
		"far cast": {func(ctx context.Context, l *local) {
			serving(l, &engine.Inbound{Op: core.OpCast, ID: "a", Method: "note", Payload: []byte("\xa5block")})
		}, "the handler of note"},
		"timer": {func(context.Context, *local) { time.Sleep(2 * time.Second) }, "the handler of note"},
		"present": {func(ctx context.Context, l *local) {
			go func() { _, _ = slowly.Subscribe(ctx, &sharing{local: l}, "a", sessionproc.SubscribeOptions{}) }()
		}, "the handler of slowly"},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				kind, name := s.make(), "scripted"
				if what == "present" {
					kind, name = newSlow(blocks), "slow"
				}
				l := newLocal(t, kind)
				require.NoError(t, l.Deliver(t.Context(), "a", engine.Untyped(core.OpStart, name, "", what, nil)))
				ctx := lasting(t, time.Minute)
				c.block(ctx, l)
				synctest.Wait()
				require.Len(t, begun, 1)
				<-begun
				short := lasting(t, 10*time.Second)
				err := l.Deliver(short, "a", engine.Untyped(core.OpCall, name, "do", "x", nil))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "while it waited behind "+c.says+", which ran for 1")
				time.Sleep(time.Minute) // it has returned
			})
		})
	}
}

var (
	slow   = sessionproc.KindOf[string]("slow")
	slowDo = sessionproc.MethodOf[string, string](slow, "do")
	slowly = sessionproc.EventOf[int](slow, "slowly")
)

// newSlow is a kind whose present value takes its time.
func newSlow(blocks func()) sessionproc.AnyKind {
	k := sessionproc.NewKind(slow, func(context.Context, string) (*struct{}, error) { return &struct{}{}, nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, slowDo, func(_ *struct{}, _ context.Context, r string) (string, error) { return r, nil })
	sessionproc.HandleEvent(k, slowly, func(*struct{}) int { blocks(); return 1 })
	return k
}
