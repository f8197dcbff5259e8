package sessionhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

var (
	Trips = sessionproc.KindOf[sessionproc.None]("trip")
	Stops = sessionproc.MethodOf[sessionproc.None, int](Trips, "stops")
	Add   = sessionproc.MethodOf[string, int](Trips, "add")
)

// Trip is the state.
type Trip struct{ Stops []string }

func (t *Trip) add(_ context.Context, stop string) (int, error) {
	t.Stops = append(t.Stops, stop)
	return len(t.Stops), nil
}

func (t *Trip) stops(context.Context, sessionproc.None) (int, error) { return len(t.Stops), nil }

// newTrips returns a kind that is started by a call. Reading starts nothing.
func newTrips() sessionproc.AnyKind {
	k := sessionproc.NewKind(Trips, func(context.Context, sessionproc.None) (*Trip, error) { return &Trip{}, nil },
		sessionproc.KindConfig{StartOnCall: true})
	sessionproc.HandleCall(k, Add, (*Trip).add)
	sessionproc.HandleCall(k, Stops, (*Trip).stops, sessionproc.MethodConfig{NoStart: true, ReadOnly: true})
	return k
}

// A page tells a new visitor from one whose session was lost, before an empty one begins.
func ExampleIsNew() {
	ctx := context.Background()
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{newTrips()}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{bytes.Repeat([]byte("k1"), 16)}})
	if err != nil {
		log.Fatal(err)
	}
	var id string
	page := web.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ = sessionhttp.ID(r.Context())
		stops, err := Stops.Call(r.Context(), n, id, sessionproc.None{})
		switch {
		case errors.Is(err, sessionproc.ErrNotFound) && sessionhttp.IsNew(r.Context()):
			fmt.Fprintln(w, "welcome")
		case errors.Is(err, sessionproc.ErrNotFound):
			fmt.Fprintln(w, "we have lost your trip, sorry")
		case err != nil:
			sessionhttp.WriteError(w, err)
			return
		default:
			fmt.Fprintln(w, "stops:", stops)
		}
		if _, err := Add.Call(r.Context(), n, id, "Rome"); err != nil {
			log.Fatal(err)
		}
	}))

	var cookie *http.Cookie
	visit := func() {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		if set := w.Result().Cookies(); len(set) > 0 {
			cookie = set[0]
		}
		fmt.Print(w.Body)
	}
	visit()
	visit()
	if err := n.Terminate(ctx, id); err != nil { // stands for the crash of its node
		log.Fatal(err)
	}
	visit()
	// Output:
	// welcome
	// stops: 1
	// we have lost your trip, sorry
}
