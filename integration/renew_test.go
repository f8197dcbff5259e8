package integration_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// ask is get for answers of every status. It may be used from any goroutine.
func (s *shop) ask(path string, cookie *http.Cookie) (status int, body string, set []*http.Cookie) {
	r := httptest.NewRequest(http.MethodGet, "https://shop.test"+path, nil).WithContext(s.t.Context())
	r.AddCookie(cookie)
	w := httptest.NewRecorder()
	s.site.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Result().Cookies()
}

// login renews, again until the new ID belongs to the owner: so it moves too.
func (s *shop) login(cookie *http.Cookie) (id string, renewed *http.Cookie) {
	s.t.Helper()
	for range 1000 {
		if id, cookie = s.get("/login", cookie); s.p.owns(s.t, id) {
			return id, cookie
		}
	}
	require.FailNow(s.t, "no ID belongs to the owner")
	return "", nil
}

// requireRenewedCounter wants ErrRenewed for a counter's old ID from every node.
func requireRenewedCounter(t testing.TB, p place, id string) {
	t.Helper()
	for _, n := range p.all() {
		_, call := get.Call(t.Context(), n, id, sessionproc.None{})
		_, ensure := counters.Ensure(t.Context(), n, id, 0)
		_, started := n.Started(t.Context(), id)
		_, again := n.Renew(t.Context(), id)
		_, onCall := callUp.Call(t.Context(), n, id, sessionproc.None{})
		for what, err := range map[string]error{
			"call": call, "ensure": ensure, "started": started, "renew": again, "start on call": onCall,
			"cast":      addOne.Cast(t.Context(), n, id, sessionproc.None{}),
			"start":     counters.Start(t.Context(), n, id, 0),
			"terminate": n.Terminate(t.Context(), id),
		} {
			require.ErrorIs(t, err, sessionproc.ErrRenewed, what)
			require.False(t, sessionproc.MaybeExecuted(err), what)
			op := new(sessionproc.OpError)
			require.ErrorAs(t, err, &op)
			require.Equal(t, id, op.ID)
		}
	}
}

func TestAcceptance38_RenewGivesANewIDAndKeepsTheState(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		s := newShop(t, p)
		old, cookie := s.visitor()
		s.get("/count", cookie)
		require.NoError(t, addOne.Cast(t.Context(), p.from, old, sessionproc.None{}))
		id, renewed := s.login(cookie)
		require.NotEqual(t, old, id)
		requireCount(t, p, id, 2)
		requireRenewedCounter(t, p, old)

		p.move(t)
		requireRenewedCounter(t, p, old)
		n, set := s.get("/count", renewed)
		require.Equal(t, "3", n)
		require.Nil(t, set)
		for _, path := range []string{"/count", "/login", "/leave"} {
			status, _, set := s.ask(path, cookie)
			require.Equal(t, http.StatusConflict, status, path)
			require.Empty(t, set, path)
		}
		requireCount(t, p, id, 3)
		require.Equal(t, 1, events.times(old, "started"))
		require.Zero(t, events.times(id, "started"), "it did not start anew")
		s.get("/leave", renewed)
	})
}

func TestAcceptance38_RequestsAroundARenewCreateNoSession(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		s := newShop(t, p)
		old, cookie := s.visitor()
		s.get("/count", cookie)

		moved := p.beginMove(t)
		var mu sync.Mutex
		counted := 0
		var wg sync.WaitGroup
		var id string
		var renewed *http.Cookie
		gate := make(chan struct{})
		for i := range 21 {
			wg.Go(func() {
				<-gate
				if i == 10 {
					status, body, set := s.ask("/login", cookie)
					assert.Equal(t, http.StatusOK, status)
					if assert.Len(t, set, 1) {
						id, renewed = body, set[0]
					}
					return
				}
				status, body, set := s.ask("/count", cookie)
				assert.Empty(t, set, "the browser keeps what the login gives it")
				if status == http.StatusOK {
					mu.Lock()
					defer mu.Unlock()
					counted++
					return
				}
				assert.Equal(t, http.StatusConflict, status, body)
			})
		}
		close(gate)
		wg.Wait()
		require.NotNil(t, renewed)
		n, _ := s.get("/count", renewed)
		require.Equal(t, fmt.Sprint(counted+2), n, "every request has counted, or surely has not")
		require.Equal(t, 1, events.times(old, "started"))
		require.Zero(t, events.times(id, "started"))
		requireRenewedCounter(t, p, old)
		s.get("/leave", renewed)
		moved()
		requireRenewedCounter(t, p, old)
	})
}

func TestAcceptance38_RenewOfAMissingSessionIsNotFound(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		p.move(t)
		_, err := p.from.Renew(t.Context(), id)
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		require.False(t, sessionproc.MaybeExecuted(err))
		_, err = p.from.Renew(t.Context(), "no ID")
		require.ErrorIs(t, err, sessionproc.ErrInvalidID)
	})
}

func TestAcceptance38_RenewWaitsWhileTheSessionMoves(t *testing.T) {
	whileMoving(t, func(t *testing.T, p place, id string) {
		time.AfterFunc(200*time.Millisecond, func() { events.open(id) })
		require.NoError(t, note.Cast(t.Context(), p.from, id, 1))
		newID, err := p.from.Renew(t.Context(), id)
		require.NoError(t, err)
		got, err := marks.Call(t.Context(), p.from, newID, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []int{1}, got)
		_, err = mark.Call(t.Context(), p.from, id, 2)
		require.ErrorIs(t, err, sessionproc.ErrRenewed)
		require.NoError(t, p.from.Terminate(t.Context(), newID))
	})
}

func TestAcceptance38_OneOfManyRenewalsWins(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		old := p.startCounter(t, 7)
		var mu sync.Mutex
		var ids []string
		var wg sync.WaitGroup
		moved := p.beginMove(t)
		for i := range 10 {
			n := p.all()[i%len(p.all())]
			wg.Go(func() {
				id, err := n.Renew(t.Context(), old)
				if err != nil {
					assert.ErrorIs(t, err, sessionproc.ErrRenewed)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, id)
			})
		}
		wg.Wait()
		require.Len(t, ids, 1)
		requireCount(t, p, ids[0], 7)
		requireRenewedCounter(t, p, old)
		require.NoError(t, p.from.Terminate(t.Context(), ids[0]))
		moved()
		requireRenewedCounter(t, p, old)
	})
}
