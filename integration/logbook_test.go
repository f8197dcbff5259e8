package integration_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// logbook keeps what a node logs at Info and above.
type logbook struct {
	mu    sync.Mutex // guards lines
	lines []logLine
}

type logLine struct {
	level slog.Level
	text  string            // message and attributes
	attrs map[string]string // by key
}

func (b *logbook) logger() *slog.Logger { return slog.New(&bookHandler{book: b}) }

// with returns the lines that contain every one of the words, whatever their
// case.
func (b *logbook) with(words ...string) (found []logLine) {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, line := range b.lines {
		for _, word := range words {
			if !strings.Contains(strings.ToLower(line.text), strings.ToLower(word)) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

// count is how many lines there are.
func (b *logbook) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lines)
}

// text is all of it, for messages of failed tests.
func (b *logbook) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all strings.Builder
	for _, line := range b.lines {
		fmt.Fprintf(&all, "%s %s\n", line.level, line.text)
	}
	return all.String()
}

// bookHandler is the slog.Handler that writes into a logbook.
type bookHandler struct {
	book  *logbook
	group string
	attrs []slog.Attr
}

func (h *bookHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h *bookHandler) Handle(_ context.Context, r slog.Record) error {
	line := logLine{level: r.Level, attrs: map[string]string{}}
	var text strings.Builder
	text.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		value := a.Value.Resolve().String()
		line.attrs[a.Key] = value
		fmt.Fprintf(&text, " %s=%s", a.Key, value)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(func(a slog.Attr) bool { a.Key = h.group + a.Key; return add(a) })
	line.text = text.String()
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	h.book.lines = append(h.book.lines, line)
	return nil
}

func (h *bookHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append(append([]slog.Attr{}, h.attrs...), attrs...)
	return &next
}

func (h *bookHandler) WithGroup(name string) slog.Handler {
	next := *h
	next.group = h.group + name + "."
	return &next
}
