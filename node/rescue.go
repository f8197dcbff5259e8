package node

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/transport"
)

// rescue, deferred, contains a panic of a function in Config, and logs the first
// one.
func rescue(log *slog.Logger, logged *atomic.Bool, name string) {
	if cause := recover(); cause != nil && !logged.Swap(true) {
		log.Error("a function of Config panicked; further panics of it are not logged", "function", name,
			"panic", cause, "stack", string(debug.Stack()))
	}
}

// maxCarried is how many bytes Inject may have travel, to this node's sessions too.
const maxCarried = transport.MaxTrace

// containCarriers has Inject and Extract carry nothing when they panic, or return
// nil or too much: they run in callers' goroutines and in those that read from other
// nodes.
func (cfg *Config) containCarriers(log *slog.Logger) {
	inject, extract := cfg.Inject, cfg.Extract
	if inject == nil {
		return
	}
	logged, large := new(atomic.Bool), &sparse{interval: time.Minute}
	cfg.Inject = func(ctx context.Context) []byte {
		defer rescue(log, logged, "Inject")
		carried := inject(ctx)
		if len(carried) > maxCarried {
			if large.due() {
				log.Warn("what Inject returns is too large and does not travel", "bytes", len(carried), "limit", maxCarried)
			}
			return nil
		}
		return carried
	}
	cfg.Extract = func(ctx context.Context, carried []byte) (values context.Context) {
		defer func() {
			if values == nil {
				values = ctx
			}
		}()
		defer rescue(log, logged, "Extract")
		return extract(ctx, carried)
	}
}

// sparse says when something is to be logged that may come often. It is safe for
// concurrent use.
type sparse struct {
	interval time.Duration
	next     atomic.Int64 // Unix time in ns
}

// due reports whether it was not in the last interval; then it is the one.
func (s *sparse) due() bool {
	now, next := time.Now(), s.next.Load()
	return now.UnixNano() >= next && s.next.CompareAndSwap(next, now.Add(s.interval).UnixNano())
}
