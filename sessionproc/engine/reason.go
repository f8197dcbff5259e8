package engine

import "github.com/sessionproc/sessionproc/sessionproc"

// abrupt is the reason of a Table.Close: there is no time for OnEnd.
const abrupt sessionproc.Reason = "abrupt"

// interruption returns the error for requests that the end of a session interrupts.
func interruption(r sessionproc.Reason) error {
	if r == sessionproc.ReasonClosed || r == abrupt {
		return sessionproc.ErrClosed
	}
	return sessionproc.ErrTerminated
}
