package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Errors of what was waited for in vain say what that was, and are what they were.
func TestDeadlineErrorsSayWhatWasWaitedFor(t *testing.T) {
	shorttest.Skip(t)
	block := func(context.Context, string) (string, error) { time.Sleep(time.Minute); return "", nil }
	obey := func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	starts := func(context.Context, string) error { time.Sleep(time.Minute); return nil }
	call := func(ctx context.Context, l *local) error { return <-doing(ctx, l, "a", "") }
	untyped := func(op core.Op, method string) func(ctx context.Context, l *local) error {
		return func(ctx context.Context, l *local) error {
			return l.Deliver(ctx, "a", engine.Untyped(op, "scripted", method, "a", nil))
		}
	}
	start := func(ctx context.Context, l *local) error { return scripted.Start(ctx, l, "a", "a") }
	busy := func(t *testing.T, l *local) {
		l.start(t, "a")
		doing(context.Background(), l, "a", "")
		synctest.Wait()
	}
	queued := func(n int) func(t *testing.T, l *local) {
		return func(t *testing.T, l *local) {
			busy(t, l)
			for range n {
				require.NoError(t, note.Cast(t.Context(), l, "a", ""))
			}
		}
	}
	for what, c := range map[string]struct {
		script script
		before func(t *testing.T, l *local)
		do     func(ctx context.Context, l *local) error
		want   string
		maybe  bool
	}{
		"a handler":            {script{do: block}, started, call, "while its handler ran for 6s", true},
		"a handler that obeys": {script{do: obey}, started, call, "while its handler ran", true},
		"an untyped call": {script{do: block}, started, untyped(core.OpCall, "do"),
			"while its handler ran for 6s", true},
		"one that obeys": {script{do: obey}, started, untyped(core.OpCall, "do"), "while its handler ran",
			true},
		"a message before it": {script{do: block}, busy, call,
			"while it waited behind the handler of do, which ran for 6s", false},
		"40 messages before it": {script{do: block}, queued(40), call,
			"while it waited behind 40 messages and the handler of do, which ran for 6s", false},
		"40, untyped": {script{do: block}, queued(40), untyped(core.OpCall, "do"),
			"while it waited behind 40 messages and the handler of do, which", false},
		"1 message before it": {script{do: block}, queued(1), call,
			"while it waited behind 1 message and the handler of do, which ran for 6s", false},
		"a full mailbox": {script{do: block, kind: sessionproc.KindConfig{Mailbox: 3}}, queued(3), call,
			"while it waited behind 3 messages for a place in the mailbox", false},
		"a start function": {script{start: starts}, nil, start, "while its start function ran for 6s", true},
		"an untyped start": {script{start: starts}, nil, untyped(core.OpStart, ""),
			"while its start function ran for 6s", true},
		"another start": {script{start: starts}, starting1("a"), start,
			"while the session's start function ran for 6s", false},
		"its turn": {script{start: starts}, starting1("b"), start,
			"while it waited for its turn to start (Config.MaxStarting is 1)", false},
		"the turn of the other": {script{start: starts}, starting1("b", "a"), untyped(core.OpStart, ""),
			"while the session waited for its turn to start", false},
		"a call of one starting": {script{start: starts}, starting1("a"), call,
			"while the session's start function ran for 6s", false},
		"a call before its turn": {script{start: starts}, starting1("b", "a"), call,
			"while the session waited for its turn to start", false},
		"a terminate": {script{do: block}, busy, untyped(core.OpTerminate, ""),
			"while a handler of the session ran for 6s", true},
		"a renewal": {script{do: block}, busy, untyped(core.OpRenew, ""),
			"while a handler of the session ran for 6s", false},
		"the end of another": {script{do: block}, ending, start, "while a handler of the session ran for 6s", false},
	} {
		t.Run(what, func(t *testing.T) {
			for cause, want := range map[error]string{context.DeadlineExceeded: "context deadline exceeded ",
				context.Canceled: "context canceled "} {
				bubble(t, func(t *testing.T) {
					l := newLocalWith(t, func(cfg *engine.TableConfig) {
						cfg.MaxStarting, cfg.StopTimeout, cfg.CallTimeout = 1, time.Hour, time.Hour
					}, c.script.make())
					defer time.Sleep(10 * time.Minute) // until all is over
					if c.before != nil {
						c.before(t, l)
					}
					ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
					if cause == context.Canceled {
						ctx, cancel = context.WithCancel(context.Background())
						time.AfterFunc(6*time.Second, cancel)
					}
					defer cancel()
					err := c.do(ctx, l)
					require.ErrorIs(t, err, cause)
					require.ErrorContains(t, err, want+c.want)
					require.Equal(t, c.maybe, sessionproc.MaybeExecuted(err))
				})
			}
		})
	}
}

func started(t *testing.T, l *local) { l.start(t, "a") }

// starting1 starts sessions one after another, whose start functions block.
func starting1(ids ...string) func(t *testing.T, l *local) {
	return func(_ *testing.T, l *local) {
		for _, id := range ids {
			starting(context.Background(), l, id)
			synctest.Wait()
		}
	}
}

// ending has a session end whose handler goes on.
func ending(t *testing.T, l *local) {
	l.start(t, "a")
	doing(context.Background(), l, "a", "")
	synctest.Wait()
	go l.terminate(context.Background(), "a")
	synctest.Wait()
}

// A call whose ctx has no deadline says it too, after CallTimeout.
func TestCallTimeoutSaysWhatWasWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{do: func(context.Context, string) (string, error) {
			time.Sleep(time.Minute)
			return "",
				nil
		}})
		l.start(t, "a")
		for i := range 2 {
			err := <-doing(context.Background(), l, "a", "")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, []string{"while its handler ran for 15s",
				"while it waited behind the handler of do, which ran for 30s"}[i])
		}
		time.Sleep(time.Minute)
	})
}

// Two sessions whose handlers call each other, each for a caller of its own, do not wait
// for their time to be over: one is told, and the other's call goes through. So it is
// when both find out at the same moment, which takes two processors and many tries.
func TestSessionsThatCallEachOtherAreToldAtOnce(t *testing.T) {
	for what, untyped := range map[string]bool{"typed": false, "untyped": true} {
		t.Run(what, func(t *testing.T) {
			for range shorttest.Of(1000, 100) {
				bubble(t, func(t *testing.T) { callEachOther(t, untyped) })
			}
		})
	}
}

func callEachOther(t *testing.T, untyped bool) {
	l := newScripted(t, script{do: func(ctx context.Context, r string) (string, error) {
		if r == "back" {
			return "", nil
		}
		time.Sleep(time.Second)
		if untyped {
			return "", sessionproc.FromContext(ctx).Cluster().Deliver(ctx, r,
				engine.Untyped(core.OpCall, "scripted", "do", "back", nil))
		}
		_, err := do.Call(ctx, sessionproc.FromContext(ctx).Cluster(), r, "back")
		return "", err
	}})
	l.start(t, "a", "b")
	begun := time.Now()
	one, other := doing(t.Context(), l, "a", "b"), doing(t.Context(), l, "b", "a")
	errs := []error{<-one, <-other}
	if errs[0] == nil {
		errs[0], errs[1] = errs[1], nil
	}
	require.ErrorContains(t, errs[0], "call cycle: sessions ")
	require.ErrorContains(t, errs[0], "wait for each other")
	require.ErrorContains(t, errs[0], sessionproc.LogID("a"))
	require.ErrorContains(t, errs[0], sessionproc.LogID("b"))
	require.NoError(t, errs[1])
	require.Less(t, time.Since(begun), 2*time.Second)
}
