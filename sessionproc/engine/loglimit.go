package engine

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	limitWindow = time.Minute
	limitLines  = 10   // of one key in a window
	limitKeys   = 1024 // that have a count of their own; all others share one
)

// A LogLimit is a handler that keeps lines which repeat from flooding a log: of warnings and errors with the
// same text about the same kind, method and peer it writes ten a minute. The first one of the next minute says how
// many were suppressed. Lines with a reference, which a caller may ask for, are all written, and so is what is
// below a warning. It serves package node too.
type LogLimit struct {
	slog.Handler
	of  string // what WithAttrs has added to the key
	all *limited
}

// limited is what handlers share that were made of one another.
type limited struct {
	suppressed atomic.Int64

	mu   sync.Mutex
	keys map[string]*repeated // guarded by mu
}

// repeated counts the lines of a key.
type repeated struct {
	since      time.Time
	lines      int
	suppressed int
}

// LimitLog returns a handler that writes to h, or h if that is one already.
func LimitLog(h slog.Handler) *LogLimit {
	if l, ok := h.(*LogLimit); ok {
		return l
	}
	return &LogLimit{Handler: h, all: &limited{keys: map[string]*repeated{}}}
}

// Suppressed returns how many lines were not written.
func (l *LogLimit) Suppressed() int64 { return l.all.suppressed.Load() }

// Handle implements slog.Handler.
func (l *LogLimit) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return l.Handler.Handle(ctx, r)
	}
	key, referred := r.Message+l.of, false
	r.Attrs(func(a slog.Attr) bool {
		referred = referred || a.Key == "reference"
		key += keyOf(a)
		return true
	})
	if referred {
		return l.Handler.Handle(ctx, r)
	}
	suppressed, ok := l.all.admit(key, time.Now())
	if !ok {
		l.all.suppressed.Add(1)
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return l.Handler.Handle(ctx, r)
}

// keyOf is what an attribute adds to the key of a line.
func keyOf(a slog.Attr) string {
	switch a.Key {
	case "kind", "method", "peer":
		return "\x00" + a.Value.String()
	}
	return ""
}

// admit reports whether a line is to be written, and how many were suppressed in its key's last window.
func (l *limited) admit(key string, now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.keys[key]
	if c == nil {
		if len(l.keys) >= limitKeys {
			l.forgetLocked(now)
		}
		if len(l.keys) >= limitKeys {
			key = ""
		}
		if c = l.keys[key]; c == nil {
			c = &repeated{since: now}
			l.keys[key] = c
		}
	}
	if now.Sub(c.since) >= limitWindow {
		suppressed = c.suppressed
		*c = repeated{since: now}
	}
	if c.lines >= limitLines {
		c.suppressed++
		return 0, false
	}
	c.lines++
	return suppressed, true
}

// forgetLocked forgets the keys whose window is over. What was suppressed of them is in the total.
func (l *limited) forgetLocked(now time.Time) {
	for key, c := range l.keys {
		if now.Sub(c.since) >= limitWindow {
			delete(l.keys, key)
		}
	}
}

// WithAttrs implements slog.Handler.
func (l *LogLimit) WithAttrs(attrs []slog.Attr) slog.Handler {
	var of strings.Builder
	of.WriteString(l.of)
	for _, a := range attrs {
		of.WriteString(keyOf(a))
	}
	return &LogLimit{Handler: l.Handler.WithAttrs(attrs), of: of.String(), all: l.all}
}

// WithGroup implements slog.Handler.
func (l *LogLimit) WithGroup(name string) slog.Handler {
	return &LogLimit{Handler: l.Handler.WithGroup(name), of: l.of, all: l.all}
}
