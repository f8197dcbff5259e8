package main

import (
	"context"
	"errors"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// failure is the error of a request, as it travels to the parent.
type failure struct {
	Class string // what it is counted under
	Text  string
	Maybe bool // the handler may have run
}

var classes = []struct {
	err  error
	name string
}{
	{sessionproc.ErrNotFound, "not found"},
	{sessionproc.ErrAlreadyStarted, "already started"},
	{sessionproc.ErrNoQuorum, "no quorum"},
	{sessionproc.ErrTerminated, "terminated"},
	{sessionproc.ErrOverloaded, "overloaded"},
	{sessionproc.ErrClosed, "closed"},
	{sessionproc.ErrUnknownMethod, "unknown method"},
	{sessionproc.ErrCrashed, "crashed"},
	{context.DeadlineExceeded, "deadline"}, // before what it was spent on
	{sessionproc.ErrUnavailable, "unavailable"},
}

// failed returns nil for no error.
func failed(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Class: "other", Text: err.Error(), Maybe: sessionproc.MaybeExecuted(err)}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			f.Class = c.name
			break
		}
	}
	return f
}
