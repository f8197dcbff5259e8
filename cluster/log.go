package cluster

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	logWindow = 10 * time.Second // in which of one kind of line
	logBurst  = 5                // so many are logged
	logKinds  = 64               // kinds told apart; the others share one limit
	logLine   = 1 << 10          // bytes of a line that are logged: members decide what is in it
)

// logBridge is the writer behind memberlist's log.Logger: it turns "[WARN]
// memberlist: text" into a record of that level. Whoever can send us packets can
// make memberlist write lines, so the same kind of line is logged a few times in ten
// seconds, then counted.
type logBridge struct {
	logger  *slog.Logger
	planned func(line string) bool // it is of a leave that was announced
	closed  atomic.Bool            // what lingering goroutines complain about no longer matters

	mu    sync.Mutex // guards kinds
	kinds map[string]*logCount
}

type logCount struct {
	since      time.Time
	lines      int
	suppressed int
}

func newLogBridge(l *slog.Logger, planned func(line string) bool) *logBridge {
	return &logBridge{logger: l, planned: planned, kinds: map[string]*logCount{}}
}

// std is the logger to give to memberlist.
func (b *logBridge) std() *log.Logger { return log.New(b, "", 0) }

func (b *logBridge) Write(line []byte) (int, error) {
	level, text := parseLine(line)
	if level > slog.LevelDebug && b.planned(string(text)) {
		level = slog.LevelDebug
	}
	if b.closed.Load() || !b.logger.Enabled(context.Background(), level) {
		return len(line), nil
	}
	suppressed, ok := b.admit(lineKind(text), time.Now())
	if !ok {
		return len(line), nil
	}
	var attrs []slog.Attr
	if suppressed > 0 {
		attrs = append(attrs, slog.Int("suppressed", suppressed))
	}
	if cut := len(text) - logLine; cut > 0 {
		text = text[:logLine]
		attrs = append(attrs, slog.Int("cut_bytes", cut))
	}
	b.logger.LogAttrs(context.Background(), level, "memberlist: "+strings.ToValidUTF8(string(text), "?"), attrs...)
	return len(line), nil
}

// admit says whether a line of that kind may be logged, and how many of them were
// not since the last that was.
func (b *logBridge) admit(kind string, now time.Time) (suppressed int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.kinds[kind]
	if c == nil {
		if len(b.kinds) >= logKinds {
			kind = ""
		}
		if c = b.kinds[kind]; c == nil {
			c = &logCount{since: now}
			b.kinds[kind] = c
		}
	}
	if now.Sub(c.since) >= logWindow {
		suppressed = c.suppressed
		*c = logCount{since: now}
	}
	if c.lines >= logBurst {
		c.suppressed++
		return 0, false
	}
	c.lines++
	return suppressed, true
}

var logLevels = map[string]slog.Level{
	"DEBUG": slog.LevelDebug,
	"INFO":  slog.LevelInfo,
	"WARN":  slog.LevelWarn,
	"ERR":   slog.LevelError,
	"ERROR": slog.LevelError,
}

// parseLine cuts "[LEVEL] memberlist: "; a few lines have neither and are warnings.
func parseLine(line []byte) (slog.Level, []byte) {
	line = bytes.TrimSpace(line)
	level := slog.LevelWarn
	if tag, rest, ok := bytes.Cut(line, []byte("] ")); ok && len(tag) > 0 && tag[0] == '[' {
		if l, known := logLevels[string(tag[1:])]; known {
			level, line = l, rest
		}
	}
	return level, bytes.TrimPrefix(line, []byte("memberlist: "))
}

// lineKind is the fixed beginning of a line, before the first name, number or cause.
func lineKind(text []byte) string {
	text = text[:min(len(text), 60)]
	if i := bytes.IndexAny(text, `:'"(0123456789`); i >= 0 {
		text = text[:i]
	}
	return string(text)
}

// planned says whether a line of memberlist is about a leave that was announced: the
// own one, or another member's.
func (c *Cluster) planned(line string) bool {
	return c.leaving.Load() || c.table.ofLeaver(line)
}
