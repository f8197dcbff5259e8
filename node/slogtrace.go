package node

import (
	"context"
	"log/slog"
)

// SlogTrace returns a Trace that logs: each request, message and record at Debug; sessions
// that start, end and move, tasks, what is refused, and changes of members and of this node
// at Info; crashes, conflicts and members that are lost or evicted at Warn. What the logger
// does not want costs no more than a Trace that does nothing.
// The node's own log (Config.Logger) does not depend on it.
func SlogTrace(log *slog.Logger) *Trace {
	return JoinTraces(logMessages(log), logSessions(log), logMoves(log), logMembers(log))
}

func logMessages(log *slog.Logger) *Trace {
	return &Trace{
		RequestEnded: func(_ context.Context, i TraceRequest) {
			if wants(log, slog.LevelDebug) {
				write(log, slog.LevelDebug, "request ended", i.Err, slog.String("op", i.Op), slog.String("kind", i.Kind),
					slog.String("method", i.Method), slog.Int("sent", i.Sent), slog.String("peer", i.Peer), slog.Int("bytes", i.Size),
					slog.Duration("took", i.Duration), slog.Bool("maybe_executed", i.MaybeExecuted))
			}
		},
		MessageEnded: func(_ context.Context, i TraceMessage) {
			if wants(log, slog.LevelDebug) {
				write(log, slog.LevelDebug, "message ended", i.Err, slog.String("op", i.Op), slog.String("kind", i.Kind),
					slog.String("method", i.Method), slog.String("peer", i.Peer), slog.Int("bytes", i.Size),
					slog.Duration("waited", i.Wait), slog.Duration("took", i.Duration))
			}
		},
		RequestRefused: func(i TraceRequestRefused) {
			if wants(log, slog.LevelInfo) {
				write(log, slog.LevelInfo, "request refused", i.Err, slog.String("op", i.Op), slog.String("kind", i.Kind))
			}
		},
		RecordKept: func(i TraceRecordKept) {
			if wants(log, slog.LevelDebug) {
				write(log, slog.LevelDebug, "record kept", i.Err, slog.String("kind", i.Kind), slog.Int("bytes", i.Size),
					slog.Duration("took", i.Duration))
			}
		},
	}
}

func logSessions(log *slog.Logger) *Trace {
	return &Trace{
		SessionStarted: func(i TraceSessionStarted) {
			if wants(log, slog.LevelInfo) {
				write(log, slog.LevelInfo, "session started", i.Err, slog.String("session", i.Session), slog.String("kind", i.Kind),
					slog.Duration("waited", i.Wait), slog.Duration("took", i.Duration))
			}
		},
		SessionEnded: func(i TraceSessionEnded) {
			if wants(log, slog.LevelInfo) {
				write(log, slog.LevelInfo, "session ended", nil, slog.String("session", i.Session), slog.String("kind", i.Kind),
					slog.String("reason", string(i.Reason)), slog.Duration("lived", i.Lived))
			}
		},
		SessionCrashed: func(i TraceSessionCrashed) {
			if wants(log, slog.LevelWarn) {
				write(log, slog.LevelWarn, "session crashed", nil, slog.String("session", i.Session), slog.String("kind", i.Kind),
					slog.String("reference", i.Reference), slog.Bool("restarts", i.Restarts), slog.Duration("after", i.After))
			}
		},
		SessionConflict: func(i TraceSessionConflict) {
			if wants(log, slog.LevelWarn) {
				write(log, slog.LevelWarn, "session conflict", nil, slog.String("session", i.Session), slog.String("kind", i.Kind),
					slog.Bool("merged", i.Merged))
			}
		},
	}
}

func logMoves(log *slog.Logger) *Trace {
	return &Trace{
		SessionMoved: func(i TraceSessionMoved) {
			if wants(log, slog.LevelInfo) {
				write(log, slog.LevelInfo, "session moved", nil, slog.String("session", i.Session), slog.String("kind", i.Kind),
					slog.String("peer", i.Peer),
					slog.Bool("arrived", i.Arrived), slog.Int("bytes", i.Size), slog.Duration("took", i.Duration))
			}
		},
		SessionPromoted: func(i TraceSessionPromoted) {
			if wants(log, slog.LevelInfo) {
				write(log, slog.LevelInfo, "session promoted", nil, slog.String("session", i.Session), slog.String("kind", i.Kind),
					slog.Duration("age", i.Age))
			}
		},
		TaskDone: func(i TraceTaskDone) {
			if wants(log, slog.LevelInfo) {
				write(log, slog.LevelInfo, "task done", i.Err, slog.String("session", i.Session), slog.String("kind", i.Kind),
					slog.String("task", i.Task), slog.Duration("took", i.Duration))
			}
		},
		MoveRefused: func(i TraceMoveRefused) {
			if wants(log, slog.LevelInfo) {
				write(log, slog.LevelInfo, "move refused", nil, slog.String("session", i.Session), slog.String("peer", i.Peer),
					slog.Bool("here", i.Here), slog.String("cause", i.Cause))
			}
		},
	}
}

func logMembers(log *slog.Logger) *Trace {
	return &Trace{
		MemberChanged: func(i TraceMemberChanged) {
			level := slog.LevelInfo
			if i.Change == "lost" || i.Change == "evicted" {
				level = slog.LevelWarn
			}
			if wants(log, level) {
				write(log, level, "member "+i.Change, nil, slog.String("peer", i.Name), slog.String("addr", i.Addr),
					slog.String("state", i.State), slog.Int("sessions", i.Sessions))
			}
		},
		NodeChanged: func(i TraceNodeChanged) {
			if wants(log, slog.LevelInfo) {
				write(log, slog.LevelInfo, "node "+i.Change, nil, slog.String("why", i.Why), slog.Int("sessions", i.Sessions),
					slog.Duration("for", i.Duration))
			}
		},
	}
}

func wants(log *slog.Logger, level slog.Level) bool { return log.Enabled(context.Background(), level) }

func write(log *slog.Logger, level slog.Level, msg string, err error, attrs ...slog.Attr) {
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	log.LogAttrs(context.Background(), level, msg, attrs...)
}
