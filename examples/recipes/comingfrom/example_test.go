package comingfrom_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

var (
	Carts   = sessionproc.KindOf[sessionproc.None]("cart")
	Add     = sessionproc.MethodOf[string, int](Carts, "add")
	Flashes = sessionproc.MethodOf[sessionproc.None, []string](Carts, "flashes")
)

// Cart has in fields what was in a map of any.
type Cart struct {
	Items    map[string]int
	Messages []string // for the next page
}

func newCart(context.Context, sessionproc.None) (*Cart, error) {
	return &Cart{Items: map[string]int{}}, nil
}

func (c *Cart) add(_ context.Context, sku string) (int, error) {
	c.Items[sku]++
	c.Messages = append(c.Messages, sku+" is in your cart")
	return c.Items[sku], nil
}

// flashes returns the messages and forgets them.
func (c *Cart) flashes(context.Context, sessionproc.None) ([]string, error) {
	messages := c.Messages
	c.Messages = nil
	return messages, nil
}

func newCarts() *sessionproc.Kind[Cart, sessionproc.None] {
	k := sessionproc.NewKind(Carts, newCart, sessionproc.KindConfig{
		StartOnCall: true, IdleTimeout: time.Hour, Lifetime: 24 * time.Hour,
	})
	sessionproc.HandleCall(k, Add, (*Cart).add)
	sessionproc.HandleCall(k, Flashes, (*Cart).flashes, sessionproc.MethodConfig{NoStart: true})
	return k
}

type app struct{ node *node.Node }

func (a *app) add(w http.ResponseWriter, r *http.Request) {
	id, _ := sessionhttp.ID(r.Context())
	count, err := Add.Call(r.Context(), a.node, id, r.FormValue("sku"))
	if err != nil {
		sessionhttp.WriteError(w, err)
		return
	}
	fmt.Fprintln(w, count)
}

func (a *app) page(w http.ResponseWriter, r *http.Request) {
	id, _ := sessionhttp.ID(r.Context())
	messages, err := Flashes.Call(r.Context(), a.node, id, sessionproc.None{})
	if err != nil {
		sessionhttp.WriteError(w, err)
		return
	}
	fmt.Fprintln(w, messages)
}

// A handler that puts something into the session, and one that shows a message once.
func Example() {
	n, err := node.Start(context.Background(), node.Config{Kinds: []sessionproc.AnyKind{newCarts()}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{bytes.Repeat([]byte("k1"), 16)}})
	if err != nil {
		log.Fatal(err)
	}
	a := &app{n}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add", a.add)
	mux.HandleFunc("GET /", a.page)
	shop := web.Middleware(mux)

	var cookie *http.Cookie // what the browser keeps
	ask := func(method, path string, form url.Values) {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			cookie = c
		}
		fmt.Print(method, " ", path, ": ", w.Body)
	}
	ask("POST", "/add", url.Values{"sku": {"tea"}})
	ask("POST", "/add", url.Values{"sku": {"tea"}})
	ask("GET", "/", nil)
	ask("GET", "/", nil)
	// Output:
	// POST /add: 1
	// POST /add: 2
	// GET /: [tea is in your cart tea is in your cart]
	// GET /: []
}
