package sessionhttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// StatusClientClosedRequest is what [Status] says of a request whose client went
// away before its answer: nobody reads it but logs. The number is nginx's.
const StatusClientClosedRequest = 499

// retryAfter is the hint that goes with an answer of 503 or 429, in seconds. What
// most of them stand for (a full mailbox, a node that is leaving) passes within one.
func retryAfter(err error) string {
	wait := time.Second
	if limit, ok := errors.AsType[*sessionproc.LimitError](err); ok {
		wait = max(wait, limit.RetryAfter)
	}
	seconds := wait / time.Second
	if wait%time.Second > 0 {
		seconds++
	}
	return strconv.FormatInt(int64(seconds), 10)
}

// statuses is looked through in order: an error may wrap several of these.
var statuses = []struct {
	err    error
	status int
}{
	{sessionproc.ErrInvalidID, http.StatusBadRequest},
	{sessionproc.ErrBadRequest, http.StatusBadRequest},
	{sessionproc.ErrNotFound, http.StatusNotFound},
	{sessionproc.ErrAlreadyStarted, http.StatusConflict},
	{sessionproc.ErrWrongKind, http.StatusConflict},
	{sessionproc.ErrRenewed, http.StatusConflict},
	{sessionproc.ErrTerminated, http.StatusGone},
	{sessionproc.ErrCrashed, http.StatusInternalServerError},
	{sessionproc.ErrOverloaded, http.StatusServiceUnavailable},
	{sessionproc.ErrRateLimited, http.StatusTooManyRequests},
	{sessionproc.ErrTooManySessions, http.StatusServiceUnavailable},
	{sessionproc.ErrMemoryMark, http.StatusServiceUnavailable},
	{sessionproc.ErrNoQuorum, http.StatusServiceUnavailable},
	{sessionproc.ErrUnavailable, http.StatusServiceUnavailable},
	{sessionproc.ErrClosed, http.StatusServiceUnavailable},
	{context.DeadlineExceeded, http.StatusGatewayTimeout},
	{context.Canceled, StatusClientClosedRequest},
}

// Status returns the HTTP status that fits err:
//
//	nil                                             200
//	ErrInvalidID, ErrBadRequest                     400 Bad Request
//	ErrNotFound                                     404 Not Found
//	ErrAlreadyStarted, ErrWrongKind                 409 Conflict
//	ErrRenewed: the browser has another cookie      409 Conflict
//	ErrTerminated: ended while the call was waiting 410 Gone
//	an error made by sessionproc.NewError           422 Unprocessable Entity
//	ErrRateLimited                                  429 Too Many Requests
//	context.Canceled: the client went away          499 (nginx's number)
//	ErrOverloaded, ErrTooManySessions,
//	ErrMemoryMark, ErrUnavailable, ErrClosed,
//	ErrNoQuorum                                     503 Service Unavailable
//	context.DeadlineExceeded                        504 Gateway Timeout
//	everything else: ErrCrashed, ErrUnknownKind,
//	ErrUnknownMethod, ErrBadReply, ErrCallCycle,
//	ErrUnsupported, a handler's unnamed errors      500 Internal Server Error
//
// An error that a handler made with sessionproc.NewError is a refusal on purpose,
// hence 422. Where the application knows better ("sold out" is a 409), it compares
// with errors.Is first and leaves the rest to Status.
func Status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	if _, ok := errors.AsType[*sessionproc.Error](err); ok {
		return http.StatusUnprocessableEntity
	}
	return http.StatusInternalServerError
}

// WriteError answers a request with the status that fits err, see [Status], and
// the status' own name as a plain text body. The error's text never reaches the
// client: it may hold a session ID or what a handler meant for the log. The
// answer is not to be cached. A 503 or 429 carries Retry-After, in seconds, only
// where err says that nothing was executed, so that no client repeats what may
// have happened: what a *sessionproc.LimitError says, rounded up, else 1. An
// answer to ErrRenewed sets no cookie for the old ID, see [Sessions.Renew].
//
// Call it before anything is written to w, and log err where it matters. A nil
// err writes nothing.
func WriteError(w http.ResponseWriter, err error) {
	if err == nil {
		return
	}
	keepCookie(w.Header(), err)
	status := Status(err)
	text := http.StatusText(status)
	if status == StatusClientClosedRequest {
		text = "Client Closed Request"
	}
	w.Header().Set("Cache-Control", "no-store")
	if (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && !sessionproc.MaybeExecuted(err) {
		w.Header().Set("Retry-After", retryAfter(err))
	}
	http.Error(w, text, status)
}
