package loglimit

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

const (
	handlerWindow = time.Minute
	handlerLines  = 10   // of one key in a window
	handlerKeys   = 1024 // that have a count of their own
)

// A Handler limits a log: of warnings and errors with the same text about the same kind, method and peer it writes
// ten a minute. The first one of the next minute says how many were suppressed. Lines with a reference, which a caller
// may ask for, are all written, and so is what is below a warning.
type Handler struct {
	slog.Handler
	of    string // what WithAttrs has added to the key
	limit *Limit // shared by all that were made of one another
}

// Wrap returns a handler that writes to h, or h if that is one already.
func Wrap(h slog.Handler) *Handler {
	if l, ok := h.(*Handler); ok {
		return l
	}
	return &Handler{Handler: h, limit: New(handlerLines, handlerWindow, handlerKeys)}
}

// Suppressed returns how many lines were not written.
func (h *Handler) Suppressed() int64 { return h.limit.Suppressed() }

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	key, referred := r.Message+h.of, false
	r.Attrs(func(a slog.Attr) bool {
		referred = referred || a.Key == "reference"
		key += keyOf(a)
		return true
	})
	if referred {
		return h.Handler.Handle(ctx, r)
	}
	suppressed, ok := h.limit.Admit(key, time.Now())
	if !ok {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.Handler.Handle(ctx, r)
}

// keyOf is what an attribute adds to the key of a line.
func keyOf(a slog.Attr) string {
	switch a.Key {
	case "kind", "method", "peer":
		return "\x00" + a.Value.String()
	}
	return ""
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var of strings.Builder
	of.WriteString(h.of)
	for _, a := range attrs {
		of.WriteString(keyOf(a))
	}
	return &Handler{Handler: h.Handler.WithAttrs(attrs), of: of.String(), limit: h.limit}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{Handler: h.Handler.WithGroup(name), of: h.of, limit: h.limit}
}
