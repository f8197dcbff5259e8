package node_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A function that panics harms nobody, and is logged once.
func TestTraceThatPanicsIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		c := tuned(t, 1, func(_ int, cfg *node.Config) {
			cfg.Logger = log.Logger()
			cfg.Trace = &node.Trace{
				RequestEnded:   func(context.Context, node.TraceRequest) { panic("request") },
				MessageEnded:   func(context.Context, node.TraceMessage) { panic("message") },
				SessionCrashed: func(node.TraceSessionCrashed) { panic("crash") },
				SessionEnded:   func(node.TraceSessionEnded) { panic("end") },
			}
		}, newTraced)
		n, ctx := c.Node(0), t.Context()
		require.NoError(t, traced.Start(ctx, n, "a", 0))
		for i := range 5 {
			got, err := tracedWork.Call(ctx, n, "a", 0)
			require.NoError(t, err)
			require.Equal(t, i+1, got)
		}
		_, err := tracedFail.Call(ctx, n, "a", "panic")
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		synctest.Wait()
		require.Zero(t, n.Sessions())
		for _, name := range []string{"RequestEnded", "MessageEnded", "SessionCrashed", "SessionEnded"} {
			require.Equal(t, 1, strings.Count(log.String(), "function=Trace."+name+" "), name)
		}
	})
}

func TestSlogTraceLogsByLevel(t *testing.T) {
	var log logged
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		tr := node.SlogTrace(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level})))
		before := log.String()
		tr.RequestEnded(t.Context(), node.TraceRequest{Op: "call", Kind: "k", Method: "m", Err: errBroke})
		tr.MessageEnded(t.Context(), node.TraceMessage{Op: "cast", Kind: "k", Method: "m"})
		tr.SessionStarted(node.TraceSessionStarted{Session: "s"})
		tr.SessionEnded(node.TraceSessionEnded{Session: "s", Reason: sessionproc.ReasonExpired})
		tr.SessionMoved(node.TraceSessionMoved{Session: "s", Peer: "p"})
		tr.RequestRefused(node.TraceRequestRefused{Op: "start", Err: errBroke})
		tr.MoveRefused(node.TraceMoveRefused{Session: "s", Cause: "why"})
		tr.SessionCrashed(node.TraceSessionCrashed{Session: "s"})
		tr.SessionConflict(node.TraceSessionConflict{Session: "s", Merged: true})
		lines := strings.Count(strings.TrimPrefix(log.String(), before), "\n")
		require.Equal(t, map[slog.Level]int{slog.LevelDebug: 9, slog.LevelInfo: 7, slog.LevelWarn: 2,
			slog.LevelError: 0}[level], lines, level)
	}
	require.Contains(t, log.String(),
		`msg="request ended" op=call kind=k method=m sent=0 peer="" bytes=0 took=0s maybe_executed=false err="it broke"`)
	require.Contains(t, log.String(), `msg="session ended" session=s kind="" reason=expired lived=0s`)
}
