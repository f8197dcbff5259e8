package sessionhttp_test

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// key returns 32 bytes that depend on seed.
func key(seed string) []byte {
	sum := sha256.Sum256([]byte(seed))
	return sum[:]
}

func newSessions(t *testing.T, cfg sessionhttp.Config) *sessionhttp.Sessions {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = [][]byte{key("first")}
	}
	s, err := sessionhttp.New(cfg)
	require.NoError(t, err)
	return s
}

// ask sends a request through s to a handler and returns the answer.
func ask(s *sessionhttp.Sessions, handler http.HandlerFunc, cookies ...string) *http.Response {
	return send(s, httptest.NewRequest(http.MethodGet, "https://shop.example/", nil), handler, cookies...)
}

// send is ask with a request of its own.
func send(s *sessionhttp.Sessions, r *http.Request, handler http.HandlerFunc, cookies ...string) *http.Response {
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	w := httptest.NewRecorder()
	s.Middleware(handler).ServeHTTP(w, r)
	return w.Result()
}

// visit sends one request with the given Cookie header lines through s and
// returns the ID that the handler saw and the answer.
func visit(s *sessionhttp.Sessions, cookies ...string) (id string, answer *http.Response) {
	answer = ask(s, func(_ http.ResponseWriter, r *http.Request) { id, _ = sessionhttp.ID(r.Context()) }, cookies...)
	return id, answer
}

// signed returns an ID and the cookie header by which s knows it again.
func signed(t *testing.T, s *sessionhttp.Sessions) (id, header string) {
	t.Helper()
	id, answer := visit(s)
	require.Len(t, answer.Cookies(), 1)
	c := answer.Cookies()[0]
	return id, c.Name + "=" + c.Value
}
