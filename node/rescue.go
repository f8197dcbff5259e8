package node

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
)

// rescue, deferred, contains a panic of a function in Config, and logs the first
// one.
func rescue(log *slog.Logger, logged *atomic.Bool, name string) {
	if cause := recover(); cause != nil && !logged.Swap(true) {
		log.Error("a function of Config panicked; further panics of it are not logged", "function", name,
			"panic", cause, "stack", string(debug.Stack()))
	}
}

// containCarriers has Inject and Extract carry nothing when they panic, or return
// nil: they run in callers' goroutines and in those that read from other nodes.
func (cfg *Config) containCarriers(log *slog.Logger) {
	inject, extract := cfg.Inject, cfg.Extract
	if inject == nil {
		return
	}
	logged := new(atomic.Bool)
	cfg.Inject = func(ctx context.Context) []byte {
		defer rescue(log, logged, "Inject")
		return inject(ctx)
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
