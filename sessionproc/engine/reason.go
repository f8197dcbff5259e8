package engine

import "github.com/sessionproc/sessionproc/sessionproc"

// abrupt is the reason of a Table.Close: there is no time for OnEnd.
const abrupt sessionproc.Reason = "abrupt"

// fencedOff is the reason of a session that leaves because it is another node's; see ErrFenced. It has
// not ended.
const fencedOff sessionproc.Reason = "fenced off"

// silent reports whether a session leaves for a reason that nobody is told, OnEnd included.
func silent(r sessionproc.Reason) bool { return r == abrupt || r == fencedOff }

// interruption returns the error for requests that the end of a session interrupts.
func interruption(r sessionproc.Reason) error {
	if r == sessionproc.ReasonClosed || r == abrupt {
		return sessionproc.ErrClosed
	}
	return sessionproc.ErrTerminated
}
