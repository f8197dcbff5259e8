package sessionhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

func TestEachErrorHasItsStatus(t *testing.T) {
	for _, row := range []struct {
		err    error
		status int
		text   string
	}{
		{sessionproc.ErrInvalidID, 400, "Bad Request"},
		{sessionproc.ErrBadRequest, 400, "Bad Request"},
		{sessionproc.ErrNotFound, 404, "Not Found"},
		{sessionproc.ErrAlreadyStarted, 409, "Conflict"},
		{sessionproc.ErrWrongKind, 409, "Conflict"},
		{sessionproc.ErrRenewed, 409, "Conflict"},
		{sessionproc.ErrReplied, 409, "Conflict"},
		{sessionproc.ErrKeyReused, 422, "Unprocessable Entity"},
		{sessionproc.ErrTerminated, 410, "Gone"},
		{sessionproc.NewError("sold_out", "sold out"), 422, "Unprocessable Entity"},
		{context.Canceled, 499, "Client Closed Request"},
		{sessionproc.ErrCrashed, 500, "Internal Server Error"},
		{&sessionproc.CrashError{Reference: "r"}, 500, "Internal Server Error"},
		{sessionproc.ErrUnknownKind, 500, "Internal Server Error"},
		{sessionproc.ErrUnknownMethod, 500, "Internal Server Error"},
		{sessionproc.ErrBadReply, 500, "Internal Server Error"},
		{sessionproc.ErrCallCycle, 500, "Internal Server Error"},
		{sessionproc.ErrUnsupported, 500, "Internal Server Error"},
		{errors.New("a handler's"), 500, "Internal Server Error"},
		{sessionproc.ErrOverloaded, 503, "Service Unavailable"},
		{sessionproc.ErrRateLimited, 429, "Too Many Requests"},
		{&sessionproc.LimitError{Limit: "KindConfig.StartRate"}, 429, "Too Many Requests"},
		{sessionproc.ErrMemoryMark, 503, "Service Unavailable"},
		{sessionproc.ErrTooManySessions, 503, "Service Unavailable"},
		{sessionproc.ErrUnavailable, 503, "Service Unavailable"},
		{sessionproc.ErrClosed, 503, "Service Unavailable"},
		{sessionproc.ErrNoQuorum, 503, "Service Unavailable"},
		{errors.Join(context.DeadlineExceeded, sessionproc.ErrOverloaded), 503, "Service Unavailable"},
		{context.DeadlineExceeded, 504, "Gateway Timeout"},
	} {
		t.Run(row.err.Error(), func(t *testing.T) {
			for _, err := range []error{row.err, fmt.Errorf("cart of Ann: %w", row.err),
				&sessionproc.OpError{Op: "call", ID: "Ann", Err: row.err}} {
				require.Equal(t, row.status, sessionhttp.Status(err))
				w := httptest.NewRecorder()
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Cache-Control", "private")
				sessionhttp.WriteError(w, err)
				answer := w.Result()
				body, readErr := io.ReadAll(answer.Body)
				require.NoError(t, readErr)
				require.Equal(t, row.status, answer.StatusCode)
				require.Equal(t, row.text+"\n", string(body), "none of the error's text")
				require.Equal(t, "text/plain; charset=utf-8", answer.Header.Get("Content-Type"))
				require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
			}
		})
	}
}

func TestRetryAfterOnlyWhereNothingRan(t *testing.T) {
	for what, row := range map[string]struct {
		err  error
		want string
	}{
		"never ran":    {&sessionproc.OpError{Err: sessionproc.ErrOverloaded}, "1"},
		"may have run": {&sessionproc.OpError{Err: sessionproc.ErrUnavailable, MaybeExecuted: true}, ""},
		"rate": {&sessionproc.OpError{Err: &sessionproc.LimitError{Limit: "Config.StartRate",
			RetryAfter: 2100 * time.Millisecond}}, "3"},
		"soon": {&sessionproc.OpError{Err: &sessionproc.LimitError{Limit: "Config.StartRate",
			RetryAfter: time.Millisecond}}, "1"},
		"no such thing": {&sessionproc.OpError{Err: sessionproc.ErrNotFound}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			w := httptest.NewRecorder()
			sessionhttp.WriteError(w, row.err)
			require.Equal(t, row.want, w.Header().Get("Retry-After"))
		})
	}
}

func TestNoErrorWritesNothing(t *testing.T) {
	require.Equal(t, http.StatusOK, sessionhttp.Status(nil))
	w := httptest.NewRecorder()
	sessionhttp.WriteError(w, nil)
	require.Empty(t, w.Header())
	require.Empty(t, w.Body.String())
}

// A node of another release may say anything.
func TestRetryAfterOfTheLongestDurationDoesNotOverflow(t *testing.T) {
	w := httptest.NewRecorder()
	sessionhttp.WriteError(w, &sessionproc.OpError{Op: "start", Err: &sessionproc.LimitError{Limit: "Config.StartRate",
		RetryAfter: math.MaxInt64}})
	require.Equal(t, "9223372037", w.Header().Get("Retry-After"))
}
