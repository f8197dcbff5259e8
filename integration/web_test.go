package integration_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// shop is a web tier in front of one node. Its pages tell the session's ID,
// count up, and log out.
type shop struct {
	t    *testing.T
	p    place
	site http.Handler
}

func newShop(t *testing.T, p place) *shop {
	key := make([]byte, sessionhttp.MinKey)
	_, _ = rand.Read(key)
	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{key}})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		id, _ := sessionhttp.ID(r.Context())
		fmt.Fprint(w, id)
	})
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		id, _ := sessionhttp.ID(r.Context())
		if _, err := counters.Ensure(r.Context(), p.from, id, 0); err != nil {
			sessionhttp.WriteError(w, err)
			return
		}
		n, err := add.Call(r.Context(), p.from, id, 1)
		if err != nil {
			sessionhttp.WriteError(w, err)
			return
		}
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		r, err := web.Renew(w, r, p.from)
		if err != nil {
			sessionhttp.WriteError(w, err)
			return
		}
		id, _ := sessionhttp.ID(r.Context())
		fmt.Fprint(w, id)
	})
	mux.HandleFunc("/leave", func(w http.ResponseWriter, r *http.Request) {
		if err := web.Destroy(w, r, p.from); err != nil {
			sessionhttp.WriteError(w, err)
		}
	})
	return &shop{t: t, p: p, site: web.Middleware(mux)}
}

// get asks for a page with a cookie, or without one if it is nil, and returns
// the body and the cookie that was set.
func (s *shop) get(path string, cookie *http.Cookie) (string, *http.Cookie) {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.test"+path, nil).WithContext(s.t.Context())
	if cookie != nil {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	s.site.ServeHTTP(w, r)
	answer := w.Result()
	require.Equal(s.t, http.StatusOK, answer.StatusCode)
	body, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	if len(answer.Cookies()) == 0 {
		return string(body), nil
	}
	require.Len(s.t, answer.Cookies(), 1)
	return string(body), answer.Cookies()[0]
}

// visitor makes requests without a cookie until the ID belongs to the owner.
func (s *shop) visitor() (id string, cookie *http.Cookie) {
	s.t.Helper()
	for range 1000 {
		id, cookie = s.get("/", nil)
		if s.p.owns(s.t, id) {
			return id, cookie
		}
	}
	require.FailNow(s.t, "no ID belongs to the owner")
	return "", nil
}

func TestAcceptance37_CookieCarriesTheSession(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		s := newShop(t, p)
		id, cookie := s.visitor()
		require.NoError(t, sessionproc.ValidID(id))
		require.True(t, cookie.HttpOnly)
		require.True(t, cookie.Secure)
		require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
		requireAbsent(t, p.from, id, "the middleware starts nothing")

		again, set := s.get("/", cookie)
		require.Equal(t, id, again, "a cookie that we signed is kept")
		require.Nil(t, set)
		for want := 1; want <= 3; want++ {
			n, _ := s.get("/count", cookie)
			require.Equal(t, fmt.Sprint(want), n)
		}
		p.move(t)
		requireCount(t, p, id, 3)
		n, _ := s.get("/count", cookie)
		require.Equal(t, "4", n)

		_, cleared := s.get("/leave", cookie)
		require.Negative(t, cleared.MaxAge)
		require.Empty(t, cleared.Value)
		requireAbsent(t, p.from, id, "the session has ended")
	})
}

func TestAcceptance37_ForeignCookiesReachNoSession(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		s := newShop(t, p)
		victim, cookie := s.visitor()
		require.NoError(t, counters.Start(t.Context(), p.from, victim, 100))
		_, err := counters.Ensure(t.Context(), p.from, "user_42", 100)
		require.NoError(t, err)
		defer func() { require.NoError(t, p.from.Terminate(t.Context(), "user_42")) }()

		p.move(t)
		for what, value := range map[string]string{
			"unsigned":           victim,
			"chosen":             "user_42",
			"signed by others":   victim + cookie.Value[len(victim):len(cookie.Value)-4] + "AAAA",
			"another's HMAC":     "user_42" + cookie.Value[len(victim):],
			"empty":              "",
			"no ID":              "a b.c",
			"without its ending": cookie.Value[:len(cookie.Value)-1],
		} {
			n, set := s.get("/count", &http.Cookie{Name: cookie.Name, Value: value})
			require.Equal(t, "1", n, "%s: it has a session of its own", what)
			require.NotNil(t, set, what)
			require.NotContains(t, set.Value, victim, what)
			require.NotContains(t, set.Value, "user_42", what)
			s.get("/leave", set)
		}
		requireCount(t, p, victim, 100)
		requireCount(t, p, "user_42", 100)
	})
}
