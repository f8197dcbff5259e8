package cluster

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/internal/loglimit"
)

const (
	logWindow = 10 * time.Second
	logBurst  = 5       // lines of one kind that are logged per window
	logKinds  = 64      // kinds with a limit of their own; all others share one
	logLine   = 1 << 10 // bytes of a line that are logged; other nodes influence its length
)

func newLogBridge(l *slog.Logger, planned func(line string) bool) *logBridge {
	return &logBridge{logger: l, planned: planned, limit: loglimit.New(logBurst, logWindow, logKinds)}
}

// std returns the logger for memberlist.
func (b *logBridge) std() *log.Logger { return log.New(b, "", 0) }

func (b *logBridge) Write(line []byte) (int, error) {
	level, text := parseLine(line)
	if level > slog.LevelDebug && b.planned(string(text)) {
		level = slog.LevelDebug
	}
	if b.closed.Load() || !b.logger.Enabled(context.Background(), level) {
		return len(line), nil
	}
	suppressed, ok := b.limit.Admit(lineKind(text), time.Now())
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

var logLevels = map[string]slog.Level{
	"DEBUG": slog.LevelDebug,
	"INFO":  slog.LevelInfo,
	"WARN":  slog.LevelWarn,
	"ERR":   slog.LevelError,
	"ERROR": slog.LevelError,
}

// ofReach are how lines begin that memberlist calls errors and that say no more than that a
// member cannot be reached: it has died, or is about to be found dead.
var ofReach = []string{"Push/Pull with ", "Failed fallback TCP ping", "Failed to send "}

// parseLine removes "[LEVEL] memberlist: " from a line. A few lines have
// neither, and count as warnings. So do those about a member that cannot be reached.
func parseLine(line []byte) (slog.Level, []byte) {
	line = bytes.TrimSpace(line)
	level := slog.LevelWarn
	if tag, rest, ok := bytes.Cut(line, []byte("] ")); ok && len(tag) > 0 && tag[0] == '[' {
		if l, known := logLevels[string(tag[1:])]; known {
			level, line = l, rest
		}
	}
	line = bytes.TrimPrefix(line, []byte("memberlist: "))
	for _, begin := range ofReach {
		if level == slog.LevelError && bytes.HasPrefix(line, []byte(begin)) {
			level = slog.LevelWarn
		}
	}
	return level, line
}

// lineKind returns the fixed beginning of a line, up to the first name, number
// or cause.
func lineKind(text []byte) string {
	text = text[:min(len(text), 60)]
	if i := bytes.IndexAny(text, `:'"(0123456789`); i >= 0 {
		text = text[:i]
	}
	return string(text)
}

// planned reports whether a line of memberlist is about an announced leave, of
// this node or of another member.
func (c *Cluster) planned(line string) bool {
	return c.leaving.Load() || c.table.ofLeaver(line)
}
