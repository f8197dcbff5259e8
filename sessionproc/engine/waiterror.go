package engine

import (
	"context"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A waitError is the end of a wait, with a text that says what the wait was for. Without that
// text all that a user sees of a session that is stuck is "context deadline exceeded".
type waitError struct {
	err  error // of a ctx, or ErrOverloaded
	also error // a second error that errors.Is finds, or nil
	what string
}

// Error returns the text of err, followed by what the wait was for.
func (e *waitError) Error() string { return e.err.Error() + " " + e.what }

// Unwrap returns err and also.
func (e *waitError) Unwrap() []error {
	if e.also == nil {
		return []error{e.err}
	}
	return []error{e.err, e.also}
}

// waitedFor adds to err what the wait was for, if err is the end of a ctx. It returns err itself
// if what is empty.
func waitedFor(err error, what string) error {
	if what == "" || err != context.DeadlineExceeded && err != context.Canceled {
		return err
	}
	return &waitError{err: err, what: what}
}

// inVain returns the error of a message that was in the line until err, the end of a ctx, or
// with a nil err until CastPatience was over.
func inVain(err error, ahead int) error {
	what := fmt.Sprintf("while it waited behind %s for a place in the mailbox", messages(ahead))
	if err == nil {
		return &waitError{err: sessionproc.ErrOverloaded, what: what}
	}
	return &waitError{err: err, also: sessionproc.ErrOverloaded, what: what}
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}
