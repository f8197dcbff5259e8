package main

import (
	_ "embed"
	"errors"
	"html/template"
	"net/http"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeweb"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// A shop is the web side of one replica. It keeps nothing of its visitors.
type shop struct {
	node    *node.Node
	web     *sessionhttp.Sessions // the cookie, which says which cart is the browser's
	changes *sessionhttp.EventStream[View]
}

func newShop(n *node.Node, cookieKey []byte) (*shop, error) {
	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{cookieKey}, Insecure: true}) // plain HTTP on loopback
	changes, failed := sessionhttp.Events(n, Changed, sessionhttp.EventsConfig[View]{})
	return &shop{n, web, changes}, errors.Join(err, failed)
}

func (s *shop) handler() http.Handler {
	pages, all := http.NewServeMux(), http.NewServeMux()
	pages.HandleFunc("GET /{$}", s.show)
	pages.Handle("GET /changes", s.changes)
	pages.HandleFunc("POST /login", s.login)
	pages.HandleFunc("POST /logout", s.logout)
	pages.HandleFunc("POST /put", s.call(Put, "sku"))
	pages.HandleFunc("POST /pay", s.call(Pay, "card"))
	all.Handle("/", http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(s.web.Middleware(pages), 4<<10)))
	all.Handle("GET /ready", nodeweb.Ready(s.node)) // for the load balancer
	return all
}

// call calls a method of the browser's cart with a field of the form.
func (s *shop) call(m *sessionproc.Method[string, View], field string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, _ := sessionhttp.ID(r.Context())
		_, err := m.Call(r.Context(), s.node, id, r.PostFormValue(field))
		answer(w, r, err)
	}
}

// login believes everybody. The cart stays, but nobody who knew its ID before can use it afterwards.
func (s *shop) login(w http.ResponseWriter, r *http.Request) {
	r, err := s.web.Renew(w, r, s.node)
	if err != nil {
		answer(w, r, err)
		return
	}
	s.call(Login, "user")(w, r)
}

// logout ends all carts of the user, in whatever browsers.
func (s *shop) logout(w http.ResponseWriter, r *http.Request) {
	id, _ := sessionhttp.ID(r.Context())
	v, err := Look.Call(r.Context(), s.node, id, none{})
	if err == nil && v.User != "" {
		_, err = s.node.TerminateLabelled(r.Context(), "user", v.User)
	}
	answer(w, r, err)
}

// answer answers a form with the page, or with what the cart refuses. A cart that has ended is empty.
func answer(w http.ResponseWriter, r *http.Request, err error) {
	refused, ok := errors.AsType[*sessionproc.Error](err)
	switch {
	case ok:
		http.Error(w, refused.Text, sessionhttp.Status(err))
	case err != nil && !errors.Is(err, sessionproc.ErrNotFound):
		sessionhttp.WriteError(w, err)
	default:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// show starts no cart: a visitor who only looks around leaves nothing behind.
func (s *shop) show(w http.ResponseWriter, r *http.Request) {
	id, _ := sessionhttp.ID(r.Context())
	v, err := Look.Call(r.Context(), s.node, id, none{})
	live, left := err == nil, map[string]int{}
	if errors.Is(err, sessionproc.ErrNotFound) {
		err = nil
	}
	for sku := range prices {
		if err == nil {
			left[sku], err = Left.Call(r.Context(), s.node, stockID(sku), none{})
		}
	}
	if err != nil {
		sessionhttp.WriteError(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	page.Execute(w, map[string]any{"Cart": v, "Live": live, "Prices": prices, "Left": left}) // fails if the browser goes
}
