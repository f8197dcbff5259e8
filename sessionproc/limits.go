package sessionproc

import (
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// LimitError says which limit a request has met, and when another try may pass.
// It is an ErrTooManySessions, ErrRateLimited or ErrMemoryMark, by errors.Is, on
// whatever node it arose, or in a handler that sets a timer an ErrTooManyTimers, and in
// one that begins a task an ErrTooManyTasks. What met a limit has not run.
type LimitError struct {
	Limit      string        // the setting: "Config.MaxSessions", "KindConfig.StartRate", …
	Max        int64         // its value
	RetryAfter time.Duration // until it can pass, if nobody else comes first; 0: not known
}

// Error names the limit.
func (e *LimitError) Error() string {
	what := "a limit is reached"
	if sentinel := e.sentinel(); sentinel != nil {
		what = sentinel.Error()
	}
	what = fmt.Sprintf("%s: %s is %d", what, e.Limit, e.Max)
	if e.RetryAfter > 0 {
		what += fmt.Sprintf(", retry after %v", e.RetryAfter)
	}
	return what
}

// Is reports whether target is the error that the limit stands for.
func (e *LimitError) Is(target error) bool {
	sentinel := e.sentinel()
	return sentinel != nil && target == sentinel
}

func (e *LimitError) sentinel() error {
	switch e.Limit {
	case core.LimitNodeSessions, core.LimitKindSessions:
		return ErrTooManySessions
	case core.LimitNodeStarts, core.LimitKindStarts, core.LimitMessages, core.LimitRenewals:
		return ErrRateLimited
	case core.LimitMemory:
		return ErrMemoryMark
	case core.LimitTimers:
		return ErrTooManyTimers
	case core.LimitTasks, core.LimitNodeTasks:
		return ErrTooManyTasks
	}
	return nil
}
