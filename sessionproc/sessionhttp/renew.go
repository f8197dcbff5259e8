package sessionhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A Renewer gives sessions another ID. *node.Node implements it.
type Renewer interface {
	// Renew gives session id a new ID and returns it. If sessionproc.MaybeExecuted(err), the session
	// may have the new ID.
	Renew(ctx context.Context, id string) (newID string, err error)
}

// Renew gives the session of r's ID a new ID, and the browser a cookie with the new ID. Call it when
// a user logs in, before you tell the session who the user is: an ID that an attacker has planted in
// the browser is worthless afterwards. The state of the session stays. Call Renew behind the
// middleware and before anything is written to w.
//
// Renew returns r with the new ID in its context, for the rest of the handler. For 60 s calls with
// the old ID get sessionproc.ErrRenewed. This includes other requests of the browser that were on
// their way: [WriteError] answers these with 409 and sets no cookie. The browser can repeat them once
// it has the new cookie.
//
// A missing session is not an error: the browser gets a new ID all the same. After an error Renew
// returns r unchanged, and the browser keeps its cookie, unless the session may have the new ID
// (sessionproc.MaybeExecuted): then the request and the browser get the new ID. The end of r's
// context does not stop a renewal, since its outcome must become known; the time limit is that of n.
// Too many renewals of a session fail with sessionproc.ErrRateLimited (KindConfig.RenewRate), which
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

// keepCookie removes from an answer a cookie with an ID that was renewed. The middleware may have
// set one to refresh its signature, and it would bring the old ID back to the browser.
func keepCookie(h http.Header, err error) {
	op, ok := errors.AsType[*sessionproc.OpError](err)
	if ok && errors.Is(err, sessionproc.ErrRenewed) {
		dropCookies(h, func(line string) bool { return strings.Contains(line, "="+op.ID+".") })
	}
}
