package node

import (
	"context"
	"log/slog"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// sturdy is a handler of the program's, whose faults are its own: what it was to write
// is lost. The node logs in goroutines that others depend on.
type sturdy struct{ h slog.Handler }

func (s sturdy) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	_ = engine.Apart(func() { enabled = s.h.Enabled(ctx, level) })
	return enabled
}

func (s sturdy) Handle(ctx context.Context, r slog.Record) (err error) {
	if fault := engine.Apart(func() { err = s.h.Handle(ctx, r) }); fault != nil {
		return fault
	}
	return err
}

func (s sturdy) WithAttrs(attrs []slog.Attr) slog.Handler {
	return s.or(func() slog.Handler { return s.h.WithAttrs(attrs) })
}

func (s sturdy) WithGroup(name string) slog.Handler {
	return s.or(func() slog.Handler { return s.h.WithGroup(name) })
}

// or is what f makes of the handler, or that itself if it makes nothing.
func (s sturdy) or(f func() slog.Handler) slog.Handler {
	var h slog.Handler
	if fault := engine.Apart(func() { h = f() }); fault != nil || h == nil {
		return s
	}
	return sturdy{h}
}
