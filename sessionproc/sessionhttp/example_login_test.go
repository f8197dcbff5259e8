package sessionhttp_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

var (
	Baskets = sessionproc.KindOf[sessionproc.None]("basket")
	Put     = sessionproc.MethodOf[string, Page](Baskets, "put")
	LogIn   = sessionproc.MethodOf[string, Page](Baskets, "login")
)

// Page is what a browser is shown.
type Page struct {
	User  string
	Items []string
}

// Basket is the state of one browser's session, before and after its login.
type Basket struct {
	User  string
	Items []string
}

func startBasket(context.Context, sessionproc.None) (*Basket, error) { return &Basket{}, nil }

func (b *Basket) put(_ context.Context, item string) (Page, error) {
	b.Items = append(b.Items, item)
	return Page(*b), nil
}

// login notes the user, in the state and as a label by which the session is found.
func (b *Basket) login(ctx context.Context, user string) (Page, error) {
	b.User = user
	return Page(*b), sessionproc.FromContext(ctx).SetLabel("user", user)
}

func newBaskets() sessionproc.AnyKind {
	k := sessionproc.NewKind(Baskets, startBasket, sessionproc.KindConfig{StartOnCall: true, IdleTimeout: time.Hour})
	sessionproc.HandleCall(k, Put, (*Basket).put)
	sessionproc.HandleCall(k, LogIn, (*Basket).login)
	return k
}

// shop has the HTTP handlers.
type shop struct {
	node *node.Node
	web  *sessionhttp.Sessions
}

func (s *shop) put(w http.ResponseWriter, r *http.Request) {
	id, _ := sessionhttp.ID(r.Context())
	page, err := Put.Call(r.Context(), s.node, id, r.PathValue("item"))
	s.show(w, page, err)
}

// login gives the session a new ID before it learns who has logged in: somebody who knew
// the old ID has nothing.
func (s *shop) login(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user") // after the password was checked
	r, err := s.web.Renew(w, r, s.node)
	if err != nil {
		sessionhttp.WriteError(w, err)
		return
	}
	id, _ := sessionhttp.ID(r.Context()) // the new one
	page, err := LogIn.Call(r.Context(), s.node, id, user)
	s.show(w, page, err)
}

// logoutEverywhere ends all sessions of a user, on all nodes.
func (s *shop) logoutEverywhere(w http.ResponseWriter, r *http.Request) {
	ended, err := s.node.TerminateLabelled(r.Context(), "user", r.PathValue("user"))
	if err != nil {
		sessionhttp.WriteError(w, err)
		return
	}
	fmt.Fprintln(w, "sessions ended:", ended)
}

func (s *shop) show(w http.ResponseWriter, p Page, err error) {
	if err != nil {
		sessionhttp.WriteError(w, err)
		return
	}
	fmt.Fprintf(w, "%s %v\n", p.User, p.Items)
}

// Renewal at login: the session keeps what is in it, and the old ID is worth nothing.
func Example_login() {
	n, err := node.Start(context.Background(), node.Config{Kinds: []sessionproc.AnyKind{newBaskets()}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{bytes.Repeat([]byte("k1"), 16)}})
	if err != nil {
		log.Fatal(err)
	}
	s := &shop{n, web}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /put/{item}", s.put)
	mux.HandleFunc("POST /login/{user}", s.login)
	mux.HandleFunc("POST /logout/{user}", s.logoutEverywhere)
	handler := web.Middleware(mux)

	post := func(path string, cookie *http.Cookie) *http.Cookie {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
		if set := w.Result().Cookies(); len(set) > 0 {
			return set[0]
		}
		return cookie
	}
	before := post("/put/tea", nil)
	after := post("/login/ann", before)
	post("/put/milk", after)
	post("/put/poison", before) // somebody who knew the old cookie
	post("/logout/ann", after)
	// Output:
	// 200  [tea]
	// 200 ann [tea]
	// 200 ann [tea milk]
	// 409 Conflict
	// 200 sessions ended: 1
}
