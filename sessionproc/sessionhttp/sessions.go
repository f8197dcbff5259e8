package sessionhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// maxCandidates bounds how many cookies of our name are checked in one request. A browser sends one,
// or a few if paths or domains overlap. Each costs an HMAC for every key, so the bound keeps a
// request with thousands of cookies cheap.
const maxCandidates = 8

// Sessions ties browsers to session IDs by a signed cookie. It keeps no data for a browser. Its
// methods are safe for concurrent use.
type Sessions struct {
	cfg    Config
	signer signer
}

// New returns Sessions with a Config, or an error that names the field of cfg that cannot work.
func New(cfg Config) (*Sessions, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Sessions{cfg: cfg, signer: signer{name: cfg.CookieName, keys: cfg.Keys}}, nil
}

// An identity is what the middleware puts into a request's context.
type identity struct {
	by    *Sessions
	id    string
	isNew bool // the browser sent no ID that we signed
}

type contextKey struct{}

// ID returns the session ID of the request to which ctx belongs, and whether the middleware has run.
// The ID is valid. Either it came in a cookie that we signed, or it is new. A session with that ID
// need not exist.
func ID(ctx context.Context) (string, bool) {
	who, ok := ctx.Value(contextKey{}).(identity)
	return who.id, ok
}

// IsNew reports whether the session ID of the request to which ctx belongs was made for this
// request, because the browser sent none that we signed. No session can have been started under a
// new ID before. So a page that starts a session on each first visit can tell a new visitor from a
// visitor whose session was lost:
//
//	view, err := cart.Look.Call(ctx, n, id, none) // with MethodConfig.NoStart
//	if errors.Is(err, sessionproc.ErrNotFound) && !sessionhttp.IsNew(ctx) {
//		// Lost with its node, or expired: say so before an empty cart begins.
//	}
//
// On a site that starts no session on the first visit, IsNew is false on the second visit although
// nothing was lost. [Sessions.Renew] does not change the result. IsNew is false if the middleware has
// not run.
func IsNew(ctx context.Context) bool {
	who, _ := ctx.Value(contextKey{}).(identity)
	return who.isNew
}

// Middleware returns a handler that gives each request a session ID, see [ID], and calls next. A
// request with a cookie that we signed keeps its ID; of several such cookies the first counts. Every
// other request gets a new ID and a cookie with it. The middleware neither starts nor calls a
// session, and it ignores cookies that we did not sign.
//
// It sets the headers Vary, Cache-Control and, if the cookie changes, Set-Cookie before it calls
// next. It does not wrap the http.ResponseWriter. With Config.IdempotencyKeys it answers a request
// with a malformed key itself. If a Sessions' middleware is applied twice, the outer one counts.
func (s *Sessions) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who, ok := r.Context().Value(contextKey{}).(identity); ok && who.by == s {
			next.ServeHTTP(w, r)
			return
		}
		keyed, ok := s.keyed(r.Context(), r.Header)
		if !ok {
			http.Error(w, "malformed Idempotency-Key", http.StatusBadRequest)
			return
		}
		c, ok := s.read(r)
		id := c.id
		if !ok {
			id = sessionproc.NewID()
		}
		if !ok || c.key > 0 || s.due(c.set) {
			s.set(w, id)
		}
		h := w.Header()
		h.Add("Vary", "Cookie")
		if h.Get("Cache-Control") == "" {
			h.Set("Cache-Control", "private")
		}
		ctx := context.WithValue(keyed, contextKey{}, identity{by: s, id: id, isNew: !ok})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// set sets a cookie with id in the answer.
func (s *Sessions) set(w http.ResponseWriter, id string) {
	value := s.signer.sign(id)
	if s.cfg.Sliding {
		value = s.signer.signAt(id, time.Now())
	}
	http.SetCookie(w, s.cookie(value, s.cfg.MaxAge))
}

// due reports whether a sliding cookie must be set again. set is the time in the cookie, or zero.
func (s *Sessions) due(set time.Time) bool {
	age := time.Since(set)
	// A time in the future by more than clocks differ is as good as none.
	return s.cfg.Sliding && (age < -time.Minute || age >= s.cfg.MaxAge/slides)
}

// read returns the content of the first cookie of r that we signed.
func (s *Sessions) read(r *http.Request) (c content, ok bool) {
	for i, c := range r.CookiesNamed(s.cfg.CookieName) {
		if i == maxCandidates {
			break
		}
		if c, ok := s.signer.open(c.Value); ok {
			return c, true
		}
	}
	return content{}, false
}

// A Terminator ends sessions by their ID. *node.Node implements it.
type Terminator interface {
	Terminate(ctx context.Context, id string) error
}

// Destroy logs out: it ends the session of r's ID and makes the browser delete the cookie. Call it
// behind the middleware and before anything is written to w. A missing session is not an error. If
// Terminate fails, Destroy clears the cookie all the same and returns the error; the session then
// lives on, unknown to the browser, until its idle timeout. With sessionproc.ErrRenewed the cookie
// stays, because the session continues under an ID that the browser has received meanwhile.
//
// The next request of the browser gets a new ID. The signature of the old ID remains valid: a client
// with a copy of the cookie can still send it, but finds no state of the ended session.
func (s *Sessions) Destroy(w http.ResponseWriter, r *http.Request, t Terminator) error {
	who, ok := r.Context().Value(contextKey{}).(identity)
	if !ok || who.by != s {
		return errors.New("sessionhttp: destroy: the request did not come through this Sessions' Middleware")
	}
	err := t.Terminate(r.Context(), who.id)
	s.unset(w.Header())
	if !errors.Is(err, sessionproc.ErrRenewed) {
		http.SetCookie(w, s.cookie("", -time.Second))
	}
	if err != nil && !errors.Is(err, sessionproc.ErrNotFound) {
		return fmt.Errorf("sessionhttp: destroy: %w", err)
	}
	return nil
}

// unset removes from the answer the cookie that the middleware has set, since an answer must not set
// one cookie twice.
func (s *Sessions) unset(h http.Header) {
	dropCookies(h, func(line string) bool { return strings.HasPrefix(line, s.cfg.CookieName+"=") })
}

func dropCookies(h http.Header, these func(line string) bool) {
	all, ok := h["Set-Cookie"]
	if !ok {
		return
	}
	if all = slices.DeleteFunc(slices.Clone(all), these); len(all) > 0 {
		h["Set-Cookie"] = all
	} else {
		delete(h, "Set-Cookie")
	}
}

// cookie returns our cookie with the given value. A negative maxAge makes the browser delete the
// cookie. With 0 the browser keeps it until it is closed.
func (s *Sessions) cookie(value string, maxAge time.Duration) *http.Cookie {
	return &http.Cookie{
		Name:     s.cfg.CookieName,
		Value:    value,
		Path:     s.cfg.Path,
		Domain:   s.cfg.Domain,
		MaxAge:   int(maxAge / time.Second),
		Secure:   !s.cfg.Insecure,
		HttpOnly: true,
		SameSite: s.cfg.SameSite,
	}
}
