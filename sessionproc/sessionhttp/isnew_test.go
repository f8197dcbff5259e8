package sessionhttp_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// An ID is new if the request brought none that we signed, whatever else it brought.
func TestIDIsNewWithoutACookieThatWeSigned(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	_, known := signed(t, s)
	_, foreign := signed(t, newSessions(t, sessionhttp.Config{Keys: [][]byte{key("other")}}))
	_, old := signed(t, newSessions(t, sessionhttp.Config{Keys: [][]byte{key("old")}}))
	both := newSessions(t, sessionhttp.Config{Keys: [][]byte{key("first"), key("old")}})
	sliding := newSessions(t, sessionhttp.Config{Sliding: true, MaxAge: time.Hour})
	for _, c := range []struct {
		name    string
		s       *sessionhttp.Sessions
		cookies []string
		want    bool
	}{
		{"first visit", s, nil, true},
		{"known", s, []string{known}, false},
		{"foreign", s, []string{foreign}, true},
		{"damaged", s, []string{known + "x"}, true},
		{"another cookie", s, []string{"theme=dark"}, true},
		{"a foreign one before the known", s, []string{foreign, known}, false},
		{"signed with an old key", both, []string{old}, false},
		{"a cookie that is set anew", sliding, []string{known}, false},
	} {
		var got, inner bool
		ask(c.s, func(w http.ResponseWriter, r *http.Request) {
			got = sessionhttp.IsNew(r.Context())
			c.s.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				inner = sessionhttp.IsNew(r.Context())
			})).ServeHTTP(w, r)
		}, c.cookies...)
		require.Equal(t, c.want, got, c.name)
		require.Equal(t, c.want, inner, "%s, the middleware applied twice", c.name)
	}
	require.False(t, sessionhttp.IsNew(t.Context()), "without the middleware")
}

// After a renewal it says what it said before.
func TestRenewalDoesNotChangeIsNew(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	_, known := signed(t, s)
	for name, n := range map[string]*renewing{
		"renewed": {newID: sessionproc.NewID()}, "missing": {err: sessionproc.ErrNotFound}, "failed": {err: errors.New("no")},
	} {
		for _, cookies := range [][]string{nil, {known}} {
			ask(s, func(w http.ResponseWriter, r *http.Request) {
				r, _ = s.Renew(w, r, n)
				require.Equal(t, cookies == nil, sessionhttp.IsNew(r.Context()), name)
			}, cookies...)
		}
	}
}

var (
	trays = sessionproc.KindOf[sessionproc.None]("tray")
	fill  = sessionproc.MethodOf[sessionproc.None, int](trays, "fill")
	see   = sessionproc.MethodOf[sessionproc.None, int](trays, "see")
)

type tray struct{ N int }

func newTrays() sessionproc.AnyKind {
	k := sessionproc.NewKind(trays, func(context.Context, sessionproc.None) (*tray, error) { return new(tray), nil },
		sessionproc.KindConfig{StartOnCall: true})
	sessionproc.HandleCall(k, fill, func(s *tray, _ context.Context, _ sessionproc.None) (int, error) {
		s.N++
		return s.N,
			nil
	})
	sessionproc.HandleCall(k, see, func(s *tray, _ context.Context, _ sessionproc.None) (int, error) { return s.N, nil },
		sessionproc.MethodConfig{ReadOnly: true, NoStart: true})
	return k
}

// A page tells a new visitor from one whose session was lost in a crash.
func TestLostSessionIsDistinguishedFromANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newTrays)
		s := newSessions(t, sessionhttp.Config{})
		var id, said string
		page := func(_ http.ResponseWriter, r *http.Request) {
			id, _ = sessionhttp.ID(r.Context())
			said = "welcome back"
			if _, err := see.Call(r.Context(), c.Caller(), id, sessionproc.None{}); err != nil {
				require.ErrorIs(t, err, sessionproc.ErrNotFound)
				said = "your tray was lost"
				if sessionhttp.IsNew(r.Context()) {
					said = "welcome"
				}
			}
			_, err := fill.Call(r.Context(), c.Caller(), id, sessionproc.None{})
			require.NoError(t, err)
		}
		answer := ask(s, page)
		require.Equal(t, "welcome", said)
		cookie := answer.Cookies()[0].Name + "=" + answer.Cookies()[0].Value
		ask(s, page, cookie)
		require.Equal(t, "welcome back", said)
		c.Leave(c.Owner(id))
		c.Settle()
		ask(s, page, cookie)
		require.Equal(t, "welcome back", said, "it has moved")
		c.Crash(c.Owner(id))
		c.Settle()
		ask(s, page, cookie)
		require.Equal(t, "your tray was lost", said)
		ask(s, page, cookie)
		require.Equal(t, "welcome back", said)
	})
}
