package sessionhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Renewer gives sessions another ID; *node.Node is one.
type Renewer interface {
	// Renew returns the new ID of the session that had the given one. If
	// sessionproc.MaybeExecuted(err) the session may have the new ID.
	Renew(ctx context.Context, id string) (newID string, err error)
}

// Renew gives the session of r's ID a new ID, and the browser a cookie with it.
// Call it when somebody logs in, before the session is told who that is: an ID
// that somebody else has planted in the browser is worth nothing afterwards.
// What is in the session stays. Call it behind the middleware and before
// anything is written to w.
//
// It returns r with the new ID in its context, for what is left of the handler;
// with the old one every call gets sessionproc.ErrRenewed, for 60 s. So do other
// requests of the browser that were on their way: [WriteError] answers them with
// 409 and no cookie, and the browser, which has the new cookie by then or soon
// after, can repeat them.
//
// A session that is not there is no error: the browser gets a new ID all the same.
// After an error r is returned as it came, and the browser keeps its cookie,
// unless the session may have the new ID (sessionproc.MaybeExecuted): then request
// and browser get that one. The end of r's context does not end the renewal: it
// must not be half known. Renew's own time limit is that of n. Who logs in again and
// again gets sessionproc.ErrRateLimited in the end (KindConfig.RenewRate), which
// [WriteError] answers with 429 and Retry-After.
func (s *Sessions) Renew(w http.ResponseWriter, r *http.Request, n Renewer) (*http.Request, error) {
	who, ok := r.Context().Value(contextKey{}).(identity)
	if !ok || who.by != s {
		return r, errors.New("sessionhttp: renew: the request did not come through this Sessions' Middleware")
	}
	newID, err := n.Renew(context.WithoutCancel(r.Context()), who.id)
	switch {
	case err == nil:
	case errors.Is(err, sessionproc.ErrNotFound):
		newID, err = sessionproc.NewID(), nil
	default:
		err = fmt.Errorf("sessionhttp: renew: %w", err)
		if newID == "" || !sessionproc.MaybeExecuted(err) {
			return r, err
		}
	}
	s.unset(w.Header())
	s.set(w, newID)
	return r.WithContext(context.WithValue(r.Context(), contextKey{}, identity{by: s, id: newID, isNew: who.isNew})), err
}

// keepCookie takes back a cookie of an ID that has been renewed: a signature that
// the middleware has made afresh must not bring the old ID back to the browser.
func keepCookie(h http.Header, err error) {
	op, ok := errors.AsType[*sessionproc.OpError](err)
	if ok && errors.Is(err, sessionproc.ErrRenewed) {
		dropCookies(h, func(line string) bool { return strings.Contains(line, "="+op.ID+".") })
	}
}
