package sessionhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

var (
	baskets = sessionproc.KindOf[sessionproc.None]("basket")
	putIn   = sessionproc.MethodOf[string, int](baskets, "put in")
)

type basket struct{ Items []string }

// basketPage puts two items into the basket of the request's session, and says how many there are then.
func basketPage(t *testing.T, s *sessionhttp.Sessions) http.Handler {
	k := sessionproc.NewKind(baskets, func(context.Context, sessionproc.None) (*basket, error) { return &basket{}, nil },
		sessionproc.KindConfig{StartOnCall: true})
	sessionproc.HandleCall(k, putIn, func(b *basket, _ context.Context, item string) (int, error) {
		b.Items = append(b.Items, item)
		return len(b.Items), nil
	})
	n, err := node.Start(t.Context(), node.Config{Kinds: []sessionproc.AnyKind{k}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := sessionhttp.ID(r.Context())
		first, err := putIn.Call(r.Context(), n, id, "cup")
		second, errSecond := putIn.Call(r.Context(), n, id, r.FormValue("item"))
		if err := errors.Join(err, errSecond); err != nil {
			sessionhttp.WriteError(w, err)
			return
		}
		fmt.Fprint(w, first, second)
	}))
}

func TestIdempotencyKeys(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{IdempotencyKeys: true})
	_, cookie := signed(t, s)
	h := basketPage(t, s)
	send := func(item string, keys ...string) (int, string) {
		r := httptest.NewRequest(http.MethodPost, "https://shop.example/?item="+item, nil)
		r.Header.Set("Cookie", cookie)
		for _, key := range keys {
			r.Header.Add("Idempotency-Key", key)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for range 3 {
		code, body := send("tea", "8e03978e")
		require.Equal(t, http.StatusOK, code)
		require.Equal(t, "1 2", body)
	}
	_, body := send("tea", `"8e03978e"`)
	require.Equal(t, "1 2", body, "in quotes it is the same")
	_, body = send("tea")
	require.Equal(t, "3 4", body)
	_, body = send("tea", "another")
	require.Equal(t, "5 6", body)
	code, _ := send("coffee", "8e03978e")
	require.Equal(t, http.StatusUnprocessableEntity, code)

	long := strings.Repeat("k", 255)
	_, body = send("tea", long)
	require.Equal(t, "7 8", body)
	for _, keys := range [][]string{{""}, {long + "k"}, {`"`}, {`""`}, {`"open`}, {"a b"}, {"caf\u00e9"}, {"a\x00"},
		{`a"b`}, {`a\b`}, {"a", "b"}, {"a", "a"}} {
		code, body := send("tea", keys...)
		require.Equal(t, http.StatusBadRequest, code, keys)
		require.Contains(t, body, "Idempotency-Key")
	}
	_, body = send("tea")
	require.Equal(t, "9 10", body, "nothing was done meanwhile")
}

// A page that has not asked for it is not changed by what a client sends.
func TestIdempotencyKeysMeanNothingByDefault(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	_, cookie := signed(t, s)
	h := basketPage(t, s)
	for _, want := range []string{"1 2", "3 4"} {
		r := httptest.NewRequest(http.MethodPost, "https://shop.example/?item=tea", nil)
		r.Header.Set("Cookie", cookie)
		r.Header.Set("Idempotency-Key", "a b")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want, w.Body.String())
	}
}
