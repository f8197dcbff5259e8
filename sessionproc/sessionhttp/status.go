package sessionhttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// StatusClientClosedRequest is the [Status] of a request whose client has disconnected before the
// answer. Only logs show it. The number is that of nginx.
const StatusClientClosedRequest = 499

// retryAfter returns the value of Retry-After for an answer of 503 or 429, in seconds. Most causes,
// such as a full mailbox or a node that is leaving, pass within one second.
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

// statuses is searched in order, since an error may wrap several of these.
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
	{sessionproc.ErrReplied, http.StatusConflict},
	{sessionproc.ErrKeyReused, http.StatusUnprocessableEntity},
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
//	ErrReplied: done before, the reply is not known 409 Conflict
//	ErrTerminated: ended while the call was waiting 410 Gone
//	ErrKeyReused                                    422 Unprocessable Entity
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
// An error made with sessionproc.NewError is a deliberate refusal by a handler, hence 422. An
// application that knows a better status, such as 409 for "sold out", compares with errors.Is first
// and leaves the rest to Status.
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

// WriteError answers a request with the status that fits err, see [Status], and the name of the
// status as a plain text body. The text of err never reaches the client, because it may contain a
// session ID or details that are meant for the log. The answer must not be cached. A 503 or 429 has
// the header Retry-After only if certainly nothing was executed, so that no client repeats a request
// that may have had an effect. Its value is that of a *sessionproc.LimitError in whole seconds,
// rounded up, otherwise 1. An answer to ErrRenewed sets no cookie for the old ID, see
// [Sessions.Renew].
//
// Call WriteError before anything is written to w, and log err if it matters. For a nil err
// WriteError does nothing.
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
	passes := status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
	if passes && !sessionproc.MaybeExecuted(err) {
		w.Header().Set("Retry-After", retryAfter(err))
	}
	http.Error(w, text, status)
}
