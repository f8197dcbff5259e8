package node

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// rescuer contains the faults of a function in Config, and logs the first one.
type rescuer struct {
	log    *slog.Logger
	name   string
	logged atomic.Bool
}

// rescue is deferred where a function has run when *returned is true. A panic of it ends here; a runtime.Goexit does its
// worst.
func (r *rescuer) rescue(returned *bool) {
	if !*returned {
		r.report(engine.FaultOf(recover()))
	}
}

// apart runs f so that a runtime.Goexit ends with it, too, at the price of a goroutine.
func (r *rescuer) apart(f func()) {
	if fault := engine.Apart(f); fault != nil {
		r.report(fault)
	}
}

func (r *rescuer) report(fault *engine.Fault) {
	if !r.logged.Swap(true) {
		r.log.Error("a function of Config panicked; further panics of it are not logged", "function", r.name,
			"panic", fault.Text, "stack", string(fault.Stack))
	}
}

// isOurs reports whether requests of op are made by goroutines of the library.
func isOurs(op engine.Op) bool {
	return op == engine.OpSubscribe || op == engine.OpAdopt
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
