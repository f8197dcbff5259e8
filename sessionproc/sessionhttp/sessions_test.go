package sessionhttp_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// ended is a Terminator that keeps the IDs it was told to end.
type ended struct {
	ids []string
	err error
}

func (e *ended) Terminate(_ context.Context, id string) error {
	e.ids = append(e.ids, id)
	return e.err
}

func TestFirstVisitGetsANewIDAndASafeCookie(t *testing.T) {
	id, answer := visit(newSessions(t, sessionhttp.Config{}))
	require.NoError(t, sessionproc.ValidID(id))
	require.Len(t, answer.Cookies(), 1)
	c := answer.Cookies()[0]
	require.Equal(t, "__Host-session", c.Name)
	require.True(t, strings.HasPrefix(c.Value, id+"."), "the value starts with the ID")
	require.True(t, c.HttpOnly)
	require.True(t, c.Secure)
	require.Equal(t, http.SameSiteLaxMode, c.SameSite)
	require.Equal(t, "/", c.Path)
	require.Empty(t, c.Domain)
	require.Zero(t, c.MaxAge, "it ends with the browser")
	require.Equal(t, "Cookie", answer.Header.Get("Vary"))
	require.Equal(t, "private", answer.Header.Get("Cache-Control"))
}

func TestSignedCookieIsKept(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	id, header := signed(t, s)
	again, answer := visit(s, header)
	require.Equal(t, id, again)
	require.Empty(t, answer.Cookies(), "nothing new to say")
	require.Equal(t, "Cookie", answer.Header.Get("Vary"))

	other := newSessions(t, sessionhttp.Config{}) // another replica with the same keys
	again, answer = visit(other, header)
	require.Equal(t, id, again)
	require.Empty(t, answer.Cookies())
}

func TestForeignCookieIsReplaced(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	id, header := signed(t, s)
	name, value, _ := strings.Cut(header, "=")
	_, mac, _ := strings.Cut(value, ".")
	_, foreign := signed(t, newSessions(t, sessionhttp.Config{Keys: [][]byte{key("stranger's")}}))
	_, otherName := signed(t, newSessions(t, sessionhttp.Config{CookieName: "basket"}))
	_, otherValue, _ := strings.Cut(otherName, "=")
	otherID, _ := signed(t, s)

	for what, cookie := range map[string]string{
		"unsigned":                name + "=user_42",
		"only a valid ID":         name + "=" + id,
		"empty signature":         name + "=" + id + ".",
		"empty ID":                name + "=." + mac,
		"empty":                   name + "=",
		"signature of another ID": name + "=" + otherID + "." + mac,
		"foreign key":             foreign,
		"cookie of another name":  name + "=" + otherValue,
		"another name":            "basket=" + value,
		"invalid ID":              name + "=user 42." + mac,
		"a dot in the ID":         name + "=" + id + "." + id + "." + mac,
		"trailing dot":            name + "=" + value + ".",
		"padding":                 name + "=" + value + "=",
		"quoted ID":               name + `="` + id + `"`,
		"ID of 129 bytes":         name + "=" + strings.Repeat("a", 129) + "." + mac,
		"1 MB":                    name + "=" + strings.Repeat("a", 1<<20) + "." + mac,
		"1 MB of signature":       name + "=" + id + "." + strings.Repeat("a", 1<<20),
		"no cookie at all":        "\x00;;;===",
	} {
		t.Run(what, func(t *testing.T) {
			got, answer := visit(s, cookie)
			require.NoError(t, sessionproc.ValidID(got))
			require.NotEqual(t, id, got)
			require.NotContains(t, cookie, got, "no part of what came in is taken over")
			require.Len(t, answer.Cookies(), 1)
			require.True(t, strings.HasPrefix(answer.Cookies()[0].Value, got+"."))
		})
	}
}

func TestEveryTamperedByteIsNoticed(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	id, header := signed(t, s)
	name, value, _ := strings.Cut(header, "=")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	for i := range len(value) {
		for _, c := range []byte(alphabet) {
			if c == value[i] {
				continue
			}
			got, answer := visit(s, name+"="+value[:i]+string(c)+value[i+1:])
			require.NotEqual(t, id, got, "byte %d as %q", i, c)
			require.Len(t, answer.Cookies(), 1, "byte %d as %q", i, c)
		}
		got, _ := visit(s, name+"="+value[:i])
		require.NotEqual(t, id, got, "cut to %d bytes", i)
		got, _ = visit(s, name+"="+value[:i]+value[i+1:])
		require.NotEqual(t, id, got, "byte %d dropped", i)
	}
}

func TestSecondSpellingOfASignatureIsRefused(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	id, header := signed(t, s)
	i := strings.LastIndexByte(header, '.') + 1
	mac := header[i:]
	want, err := base64.RawURLEncoding.DecodeString(mac)
	require.NoError(t, err)
	spellings := 0
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		other := mac[:len(mac)-1] + string(c)
		same, err := base64.RawURLEncoding.DecodeString(other) // not strict: the last two bits do not count
		if err != nil || other == mac || string(same) != string(want) {
			continue
		}
		spellings++
		got, _ := visit(s, header[:i]+other)
		require.NotEqual(t, id, got)
	}
	require.Equal(t, 3, spellings)
}

func TestFirstSignedOfSeveralCookiesCounts(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	first, header := signed(t, s)
	_, second := signed(t, s)
	bad := "__Host-session=user_42"

	got, answer := visit(s, bad+"; "+header+"; "+second)
	require.Equal(t, first, got)
	require.Empty(t, answer.Cookies())
	got, _ = visit(s, bad, "theme=dark", header, second) // each in a line of its own
	require.Equal(t, first, got)

	got, _ = visit(s, strings.Repeat(bad+"; ", 7)+header)
	require.Equal(t, first, got, "the eighth is still looked at")
	got, _ = visit(s, strings.Repeat(bad+"; ", 8)+header)
	require.NotEqual(t, first, got, "the ninth is not")
}

func TestKeyRotationKeepsTheID(t *testing.T) {
	old := newSessions(t, sessionhttp.Config{Keys: [][]byte{key("old")}})
	both := newSessions(t, sessionhttp.Config{Keys: [][]byte{key("new"), key("old")}})
	only := newSessions(t, sessionhttp.Config{Keys: [][]byte{key("new")}})

	id, header := signed(t, old)
	got, answer := visit(both, header)
	require.Equal(t, id, got)
	require.Len(t, answer.Cookies(), 1, "signed again")
	fresh := answer.Cookies()[0].Name + "=" + answer.Cookies()[0].Value
	require.NotEqual(t, header, fresh)

	got, answer = visit(only, fresh)
	require.Equal(t, id, got)
	require.Empty(t, answer.Cookies())
	got, _ = visit(only, header)
	require.NotEqual(t, id, got, "a key that is gone signs nothing")
}

func TestKeysAreCopied(t *testing.T) {
	k := key("first")
	s := newSessions(t, sessionhttp.Config{Keys: [][]byte{k}})
	id, header := signed(t, s)
	clear(k)
	got, _ := visit(s, header)
	require.Equal(t, id, got)
}

func TestParallelFirstRequestsEndWithOneID(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	srv := httptest.NewTLSServer(s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := sessionhttp.ID(r.Context())
		fmt.Fprint(w, id)
	})))
	defer srv.Close()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := srv.Client()
	browser.Jar = jar

	const parallel = 20
	ids := make([]string, parallel)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range ids {
		wg.Go(func() {
			<-start
			ids[i] = get(t, browser, srv.URL)
		})
	}
	close(start)
	wg.Wait()

	kept := get(t, browser, srv.URL)
	require.Contains(t, ids, kept, "the browser ends with one of the IDs it was given")
	require.Equal(t, kept, get(t, browser, srv.URL), "and stays with it")
	for _, id := range ids {
		require.NoError(t, sessionproc.ValidID(id))
	}

	for i := range ids { // from now on all of them agree, in parallel too
		wg.Go(func() { ids[i] = get(t, browser, srv.URL) })
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, kept, id)
	}
}

// get returns the body of a GET; it may run in any goroutine.
func get(t *testing.T, c *http.Client, url string) string {
	resp, err := c.Get(url)
	if !assert.NoError(t, err) {
		return ""
	}
	defer resp.Body.Close()
	var id string
	_, err = fmt.Fscan(resp.Body, &id)
	assert.NoError(t, err)
	return id
}

func TestIDWithoutMiddlewareIsMissing(t *testing.T) {
	id, ok := sessionhttp.ID(t.Context())
	require.False(t, ok)
	require.Empty(t, id)
}

func TestNestedMiddlewareActsOnce(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	var outer, inner string
	answer := ask(s, func(w http.ResponseWriter, r *http.Request) {
		outer, _ = sessionhttp.ID(r.Context())
		s.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			inner, _ = sessionhttp.ID(r.Context())
		})).ServeHTTP(w, r)
	})
	require.Equal(t, outer, inner)
	require.Len(t, answer.Cookies(), 1)
	require.Len(t, answer.Header.Values("Vary"), 1)
}

func TestCacheControlOfTheHandlerWins(t *testing.T) {
	answer := ask(newSessions(t, sessionhttp.Config{}), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
	})
	require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
}

func TestCookieHasTheConfiguredAttributes(t *testing.T) {
	_, answer := visit(newSessions(t, sessionhttp.Config{
		Path: "/shop", Domain: "shop.example", MaxAge: 36 * time.Hour,
		SameSite: http.SameSiteStrictMode, Insecure: true,
	}))
	c := answer.Cookies()[0]
	require.Equal(t, "session", c.Name, "the prefix __Host- allows none of these")
	require.Equal(t, "/shop", c.Path)
	require.Equal(t, "shop.example", c.Domain)
	require.Equal(t, 36*60*60, c.MaxAge)
	require.Equal(t, http.SameSiteStrictMode, c.SameSite)
	require.False(t, c.Secure)
	require.True(t, c.HttpOnly)
}

func TestDestroyEndsTheSessionAndClearsTheCookie(t *testing.T) {
	for what, row := range map[string]struct {
		fails error
		want  error
	}{
		"ended":       {},
		"not there":   {fails: fmt.Errorf("terminate: %w", sessionproc.ErrNotFound)},
		"unreachable": {fails: sessionproc.ErrUnavailable, want: sessionproc.ErrUnavailable},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSessions(t, sessionhttp.Config{Path: "/", MaxAge: time.Hour})
			id, header := signed(t, s)
			n := &ended{err: row.fails}
			answer := destroy(t, s, n, row.want, header)
			require.Equal(t, []string{id}, n.ids)
			requireCleared(t, answer)
		})
	}
}

func TestDestroyOnAFirstVisitSetsNoCookie(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	n := &ended{err: sessionproc.ErrNotFound}
	requireCleared(t, destroy(t, s, n, nil))
	require.Len(t, n.ids, 1)
}

// destroy logs out through s and returns the answer.
func destroy(t *testing.T, s *sessionhttp.Sessions, n sessionhttp.Terminator, want error,
	cookies ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/logout", nil)
	return send(s, r, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
		require.ErrorIs(t, s.Destroy(w, r, n), want)
	}, cookies...)
}

// requireCleared wants the handler's own cookie and ours, deleted.
func requireCleared(t *testing.T, answer *http.Response) {
	t.Helper()
	require.Len(t, answer.Cookies(), 2, "the handler's own cookie and one of ours")
	require.Equal(t, "theme", answer.Cookies()[0].Name)
	c := answer.Cookies()[1]
	require.Equal(t, "__Host-session", c.Name)
	require.Empty(t, c.Value)
	require.Negative(t, c.MaxAge)
	require.True(t, c.Secure, "a browser refuses the prefix __Host- otherwise")
	require.Equal(t, "/", c.Path)
}

func TestDestroyWithoutMiddlewareIsAnError(t *testing.T) {
	s, other := newSessions(t, sessionhttp.Config{}), newSessions(t, sessionhttp.Config{CookieName: "basket"})
	n := &ended{}
	require.Error(t, s.Destroy(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil), n))
	ask(other, func(w http.ResponseWriter, r *http.Request) {
		require.Error(t, s.Destroy(w, r, n), "the ID is of another cookie")
	})
	require.Empty(t, n.ids)
}
