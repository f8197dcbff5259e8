package sessionproc

import (
	"errors"
	"fmt"
)

// badRequest makes an ErrBadRequest of err: a request does not decode, so nothing has run.
func badRequest(err error) error { return requestFault{err} }

// badReply makes an ErrBadReply of err: a reply does not encode or decode, and the handler has run.
func badReply(err error) error { return replyFault{err} }

type requestFault struct{ err error }

func (e requestFault) Error() string        { return errBadRequest.Error() + ": " + e.err.Error() }
func (e requestFault) Is(target error) bool { return target == errBadRequest }

type replyFault struct{ err error }

func (e replyFault) Error() string        { return errBadReply.Error() + ": " + e.err.Error() }
func (e replyFault) Is(target error) bool { return target == errBadReply }

// The errors of package sessionproc that are made here, under their names there.
var (
	errAlreadyStarted = errors.New("session already started")
	errBadRequest     = errors.New("bad request")
	errBadReply       = errors.New("bad reply")
	errCallCycle      = errors.New("call cycle")
	errUnsupported    = errors.New("not supported by the peer's release")
)

// UserError makes an error of a user's code safe to keep, to log and to send. Package sessionproc,
// which knows its own errors, sets it.
var UserError func(err error) error

// tooLarge returns the error for n encoded bytes that do not fit into a message.
func tooLarge(n, most int) error {
	return fmt.Errorf("%d bytes, the limit is %d (Config.MaxFrame, less what else is in a message)", n, most)
}

// isBadRequest reports whether badRequest has made err.
func isBadRequest(err error) bool {
	_, ok := err.(requestFault)
	return ok
}
