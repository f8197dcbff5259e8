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

// maxCandidates is how many cookies of our name a request may hold before the
// rest is ignored: a browser sends one, or a few when paths or domains overlap,
// and each costs an HMAC for every key.
const maxCandidates = 8

// Sessions ties browsers to session IDs by a signed cookie. It holds nothing
// per browser. All methods may be called concurrently.
type Sessions struct {
	cfg    Config
	signer signer
}

// New returns Sessions as cfg says, or an error that names the field of cfg
// that cannot work.
func New(cfg Config) (*Sessions, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Sessions{cfg: cfg, signer: signer{name: cfg.CookieName, keys: cfg.Keys}}, nil
}

// identity is what the middleware leaves in a request's context.
type identity struct {
	by    *Sessions
	id    string
	isNew bool // the browser brought no ID that we signed
}

type contextKey struct{}

// ID returns the session ID of the request that ctx belongs to, and whether the
// middleware has run. The ID is valid, and either came in a cookie that we
// signed or is new; there may be no session under it yet.
func ID(ctx context.Context) (string, bool) {
	who, ok := ctx.Value(contextKey{}).(identity)
	return who.id, ok
}

// IsNew reports whether the session ID of the request that ctx belongs to was made for
// this request, because the browser brought none that we signed. So nobody can have
// started a session under it before, and a page that starts one on each first visit can
// tell a new visitor from one whose session is gone:
//
//	view, err := cart.Look.Call(ctx, n, id, none) // with MethodConfig.NoStart
//	if errors.Is(err, sessionproc.ErrNotFound) && !sessionhttp.IsNew(ctx) {
//		// Lost with its node, or expired: say so before an empty cart begins.
//	}
//
// A site that starts no session on the first visit sees the same on the second one,
// although nothing was lost. After [Sessions.Renew] it says what it said before. It is
// false if the middleware has not run.
func IsNew(ctx context.Context) bool {
	who, _ := ctx.Value(contextKey{}).(identity)
	return who.isNew
}

// Middleware returns a handler that gives each request a session ID, see [ID],
// and calls next. A request whose cookie we signed keeps its ID; of several
// cookies of the name the first that we signed counts. Every other request gets
// a new ID and a cookie with it. Nothing is started or called, and what a client
// sends beside that is ignored without an error.
//
// It sets the headers Set-Cookie (only when there is something to say), Vary and
// Cache-Control before next runs and does not wrap the http.ResponseWriter.
// Applied twice, the outer one counts.
func (s *Sessions) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who, ok := r.Context().Value(contextKey{}).(identity); ok && who.by == s {
			next.ServeHTTP(w, r)
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
		ctx := context.WithValue(r.Context(), contextKey{}, identity{by: s, id: id, isNew: !ok})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// set gives the browser a cookie with id.
func (s *Sessions) set(w http.ResponseWriter, id string) {
	value := s.signer.sign(id)
	if s.cfg.Sliding {
		value = s.signer.signAt(id, time.Now())
	}
	http.SetCookie(w, s.cookie(value, s.cfg.MaxAge))
}

// due reports whether a cookie that was set then, or says nothing about it, is to
// be set anew.
func (s *Sessions) due(set time.Time) bool {
	age := time.Since(set)
	return s.cfg.Sliding && (age < -time.Minute || age >= s.cfg.MaxAge/slides) // a minute: clocks differ
}

// read returns what the first cookie of r that we signed says.
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

// Terminator ends sessions by their ID; *node.Node is one.
type Terminator interface {
	Terminate(ctx context.Context, id string) error
}

// Destroy ends the session of r's ID and tells the browser to forget the ID:
// what "log out" means. Call it behind the middleware and before anything is
// written to w. A session that is not there is no error. The cookie is cleared
// even if Terminate fails, and the failure is returned: the browser has
// forgotten a session that lives on until its kind's idle time is over. Only
// with sessionproc.ErrRenewed, which says that the session goes on under an ID
// that the browser has got meanwhile, the cookie stays.
//
// The next request of the browser gets a new ID. The old one stays signed: who
// kept a copy of the cookie can still present it, and meets no state of the
// session that was ended.
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

// unset takes back a cookie that the middleware set in this very answer: one
// answer speaks of a cookie once.
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

// cookie returns our cookie with the given value. maxAge < 0 makes the browser
// delete it, 0 makes it one that ends with the browser.
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
