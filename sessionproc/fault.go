package sessionproc

import (
	"errors"
	"fmt"
)

// badRequest is a request that does not decode: nothing has run.
type badRequest struct{ err error }

func (e badRequest) Error() string        { return errBadRequest.Error() + ": " + e.err.Error() }
func (e badRequest) Is(target error) bool { return target == errBadRequest }

// badReply is a reply that does not encode or decode: the handler has run.
type badReply struct{ err error }

func (e badReply) Error() string        { return errBadReply.Error() + ": " + e.err.Error() }
func (e badReply) Is(target error) bool { return target == errBadReply }

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

func isBadRequest(err error) bool {
	_, ok := err.(badRequest)
	return ok
}
