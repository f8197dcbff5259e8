package sessionhttp_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// exampleKey stands for 32 secret bytes that all replicas share.
var exampleKey = bytes.Repeat([]byte("k1"), 16)

func Example() {
	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{exampleKey}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		id, _ := sessionhttp.ID(r.Context())
		fmt.Fprint(w, id)
	})
	shop := web.Middleware(mux)

	first := httptest.NewRecorder()
	shop.ServeHTTP(first, httptest.NewRequest(http.MethodGet, "/", nil))
	cookie := first.Result().Cookies()[0]

	again := httptest.NewRequest(http.MethodGet, "/", nil)
	again.AddCookie(cookie)
	second := httptest.NewRecorder()
	shop.ServeHTTP(second, again)

	fmt.Println(cookie.Name, len(first.Body.String()), "characters")
	fmt.Println("same ID:", first.Body.String() == second.Body.String())
	// Output:
	// __Host-session 32 characters
	// same ID: true
}

// anyNode stands for a *node.Node.
type anyNode struct{}

func (anyNode) Terminate(context.Context, string) error { return nil }

func (anyNode) Renew(context.Context, string) (string, error) {
	return "gANlA1N6lvVYgKuY0mTRGnxFWyBHL9yD", nil
}

func ExampleSessions_Renew() {
	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{exampleKey}})
	if err != nil {
		fmt.Println(err)
		return
	}
	var n anyNode
	login := web.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// ... check the password, then, before the session is told who it is:
		r, err := web.Renew(w, r, n)
		if err != nil {
			sessionhttp.WriteError(w, err)
			return
		}
		id, _ := sessionhttp.ID(r.Context())
		fmt.Fprintln(w, "now it is", id)
	}))

	w := httptest.NewRecorder()
	login.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/login", nil))
	cookie := w.Result().Cookies()[0]
	fmt.Print(w.Body)
	fmt.Println(len(w.Result().Cookies()), "cookie:", cookie.Value[:len("gANlA1N6")]+"…")
	// Output:
	// now it is gANlA1N6lvVYgKuY0mTRGnxFWyBHL9yD
	// 1 cookie: gANlA1N6…
}

func ExampleSessions_Destroy() {
	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{exampleKey}})
	if err != nil {
		fmt.Println(err)
		return
	}
	var n anyNode
	logout := web.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := web.Destroy(w, r, n); err != nil {
			sessionhttp.WriteError(w, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}))

	w := httptest.NewRecorder()
	logout.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/logout", nil))
	fmt.Println(w.Code, w.Header().Get("Set-Cookie"))
	// Output:
	// 303 __Host-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax
}

func ExampleWriteError() {
	w := httptest.NewRecorder()
	sessionhttp.WriteError(w, fmt.Errorf("look into the cart: %w", sessionproc.ErrNotFound))
	fmt.Print(w.Code, " ", w.Body)
	// Output:
	// 404 Not Found
}
