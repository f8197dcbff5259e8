package sessionhttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// renewing is a Renewer that answers as it is told.
type renewing struct {
	newID string
	err   error
	ids   []string
}

func (n *renewing) Renew(ctx context.Context, id string) (string, error) {
	n.ids = append(n.ids, id)
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return n.newID, n.err
}

// login sends a request through s whose handler renews, and returns the
// ID that the handler has afterwards, the answer and the error.
func login(s *sessionhttp.Sessions, n sessionhttp.Renewer, cookies ...string) (id string, answer *http.Response,
	err error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/login", nil).WithContext(ctx)
	answer = send(s, r, func(w http.ResponseWriter, r *http.Request) {
		cancel() // a browser that goes away does not undo a renewal
		http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
		r, err = s.Renew(w, r, n)
		id, _ = sessionhttp.ID(r.Context())
	}, cookies...)
	return id, answer, err
}

func TestRenewGivesTheBrowserTheNewID(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	old, header := signed(t, s)
	n := &renewing{newID: sessionproc.NewID()}
	id, answer, err := login(s, n, header)
	require.NoError(t, err)
	require.Equal(t, n.newID, id)
	require.Equal(t, []string{old}, n.ids)
	require.Len(t, answer.Cookies(), 2)
	require.Equal(t, "theme", answer.Cookies()[0].Name)
	c := answer.Cookies()[1]
	require.Equal(t, "__Host-session", c.Name)
	require.True(t, c.HttpOnly)
	require.True(t, c.Secure)
	again, _ := visit(s, c.Name+"="+c.Value)
	require.Equal(t, n.newID, again)
}

func TestRenewOnAFirstVisitSetsTheNewCookieLast(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	n := &renewing{err: &sessionproc.OpError{Err: sessionproc.ErrNotFound}}
	id, answer, err := login(s, n)
	require.NoError(t, err, "a session that is not there")
	require.NotEqual(t, n.ids[0], id)
	require.Len(t, answer.Cookies(), 2)
	require.True(t, strings.HasPrefix(answer.Cookies()[1].Value, id+"."))
}

func TestFailedRenewMovesTheCookieOnlyIfItMayHaveRun(t *testing.T) {
	newID := sessionproc.NewID()
	for what, row := range map[string]struct {
		n     renewing
		moves bool
	}{
		"surely":         {renewing{err: &sessionproc.OpError{Err: sessionproc.ErrOverloaded}}, false},
		"renewed before": {renewing{err: &sessionproc.OpError{Err: sessionproc.ErrRenewed}}, false},
		"maybe": {renewing{newID, &sessionproc.OpError{Err: sessionproc.ErrUnavailable,
			MaybeExecuted: true}, nil}, true},
		"maybe, and not told it": {renewing{err: errors.New("no idea")}, false},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSessions(t, sessionhttp.Config{})
			old, header := signed(t, s)
			id, answer, err := login(s, &row.n, header)
			require.ErrorIs(t, err, row.n.err)
			if row.moves {
				require.Equal(t, newID, id)
				require.True(t, strings.HasPrefix(answer.Cookies()[1].Value, newID+"."))
				return
			}
			require.Equal(t, old, id)
			require.Len(t, answer.Cookies(), 1, "the browser keeps what it has")
		})
	}
}

func TestRenewWithoutMiddlewareIsAnError(t *testing.T) {
	s := newSessions(t, sessionhttp.Config{})
	n := &renewing{newID: "new"}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	same, err := s.Renew(w, r, n)
	require.Error(t, err)
	require.Same(t, r, same)
	require.Empty(t, n.ids)
	require.Empty(t, w.Result().Cookies())
}

// The cookie was signed with an old key, so the middleware signs it again.
func TestAnswerToARenewedIDBringsNoCookie(t *testing.T) {
	first := newSessions(t, sessionhttp.Config{})
	id, header := signed(t, first)
	s := newSessions(t, sessionhttp.Config{Keys: [][]byte{key("second"), key("first")}})
	_, answer := visit(s, header)
	require.Len(t, answer.Cookies(), 1)

	renewed := &sessionproc.OpError{Op: "call", ID: id, Err: sessionproc.ErrRenewed}
	for what, handle := range map[string]http.HandlerFunc{
		"call": func(w http.ResponseWriter, r *http.Request) { sessionhttp.WriteError(w, renewed) },
		"destroy": func(w http.ResponseWriter, r *http.Request) {
			err := s.Destroy(w, r, &ended{err: renewed})
			require.ErrorIs(t, err, sessionproc.ErrRenewed)
			sessionhttp.WriteError(w, err)
		},
		"renew": func(w http.ResponseWriter, r *http.Request) {
			_, err := s.Renew(w, r, &renewing{err: renewed})
			sessionhttp.WriteError(w, err)
		},
	} {
		t.Run(what, func(t *testing.T) {
			answer := ask(s, handle, header)
			require.Equal(t, http.StatusConflict, answer.StatusCode)
			require.NotContains(t, answer.Header, "Set-Cookie")
		})
	}
}

// Who logs in again and again is told to wait, and keeps the session.
func TestTooManyRenewalsAre429(t *testing.T) {
	n := newNode(t)
	s := newSessions(t, sessionhttp.Config{})
	id, header := signed(t, s)
	require.NoError(t, boards.Start(t.Context(), n, id, sessionproc.None{}))
	for logins := 0; ; logins++ {
		newID, answer, err := login(s, n, header)
		if err == nil {
			require.Less(t, logins, 30)
			c := answer.Cookies()[1]
			id, header = newID, c.Name+"="+c.Value
			continue
		}
		require.GreaterOrEqual(t, logins, 10)
		require.Len(t, answer.Cookies(), 1, "the browser keeps its cookie")
		w := httptest.NewRecorder()
		sessionhttp.WriteError(w, err)
		require.Equal(t, http.StatusTooManyRequests, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		break
	}
	_, err := write.Call(t.Context(), n, id, "it works on")
	require.NoError(t, err)
}
