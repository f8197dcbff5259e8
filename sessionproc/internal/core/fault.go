package core

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// BadRequest makes an ErrBadRequest of err: a request does not decode, so nothing has run.
func BadRequest(err error) error { return requestFault{err} }

// BadReply makes an ErrBadReply of err: a reply does not encode or decode, and the handler has run.
func BadReply(err error) error { return replyFault{err} }

type requestFault struct{ err error }

func (e requestFault) Error() string        { return ErrBadRequest.Error() + ": " + e.err.Error() }
func (e requestFault) Is(target error) bool { return target == ErrBadRequest }

type replyFault struct{ err error }

func (e replyFault) Error() string        { return ErrBadReply.Error() + ": " + e.err.Error() }
func (e replyFault) Is(target error) bool { return target == ErrBadReply }

// The errors of package sessionproc that are made here, under their names there.
var (
	ErrAlreadyStarted = errors.New("session already started")
	ErrBadRequest     = errors.New("bad request")
	ErrBadReply       = errors.New("bad reply")
	ErrCallCycle      = errors.New("call cycle")
	ErrUnsupported    = errors.New("not supported by the peer's release")
	ErrKeyReused      = errors.New("the key was used for another request")
)

// UserError makes an error of a user's code safe to keep, to log and to send. Package sessionproc,
// which knows its own errors, sets it.
var UserError = func(err error) error { return err }

// TooLarge returns the error for n encoded bytes that do not fit into a message.
func TooLarge(n, most int) error {
	return fmt.Errorf("%d bytes, the limit is %d (Config.MaxFrame, less what else is in a message)", n, most)
}

// IsBadRequest reports whether BadRequest has made err.
func IsBadRequest(err error) bool {
	_, ok := err.(requestFault)
	return ok
}

// NotRun reports whether err, of a call that has reached its session's goroutine, says that no handler
// has run.
func NotRun(err error) bool { return err == ErrKeyReused || IsBadRequest(err) }

// Panicked is the error of a panic in a user's method. It says where that was, and of
// its value the type only, as it may be read anywhere.
func Panicked(what string, cause any) error {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for thrown := false; ; {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			thrown = true
		case thrown && !strings.HasPrefix(f.Function, "runtime.") && !strings.HasPrefix(f.Function, "internal/"):
			return fmt.Errorf("%s panicked: %T in %s (%s:%d)", what, cause, f.Function, filepath.Base(f.File), f.Line)
		}
		if !more {
			return fmt.Errorf("%s panicked: %T", what, cause)
		}
	}
}

// Contain makes an error of a panic of a request's own encoding or Clone.
func Contain(err *error) {
	if cause := recover(); cause != nil {
		*err = BadRequest(Panicked("encoding", cause))
	}
}
