package main

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// inside has requests answered by a handler, without a network, so that they take virtual time only.
type inside struct{ http.Handler }

func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		i.ServeHTTP(w, r)
	}()
	<-answered
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// A market is a cluster in virtual time, with a bank.
type market struct {
	*nodetest.Cluster
	t    *testing.T
	bank *fakeBank
}

func newMarket(t *testing.T) *market {
	m := &market{t: t, bank: newFakeBank(3 * time.Second)}
	api := &Bank{URL: "http://bank.example", Client: &http.Client{Transport: inside{m.bank}}}
	m.Cluster = nodetest.NewCluster(t, 3, nodetest.Kind(func() *sessionproc.Kind[Cart, none] { return NewCarts(api) }),
		nodetest.Kind(func() *sessionproc.Kind[Stock, none] { return NewStocks(atFirst) }))
	return m
}

// do calls a method of a cart.
func (m *market) do(method *sessionproc.Method[string, View], id, arg string) View {
	m.t.Helper()
	v, err := method.Call(m.t.Context(), m.Caller(), id, arg)
	require.NoError(m.t, err)
	return v
}

func (m *market) look(id string) View {
	m.t.Helper()
	v, err := Look.Call(m.t.Context(), m.Caller(), id, none{})
	require.NoError(m.t, err)
	return v
}

func (m *market) left(sku string) int {
	m.t.Helper()
	n, err := Left.Call(m.t.Context(), m.Caller(), stockID(sku), none{})
	require.NoError(m.t, err)
	return n
}

// count returns how many charges were made.
func (b *fakeBank) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.charges)
}

// newKey makes a key for cookies.
func newKey() []byte { return []byte(rand.Text() + rand.Text()) }

// A browser keeps cookies, and follows the answer of a form to the page.
type browser struct {
	http.Client
	url string
}

func newBrowser(t *testing.T, url string) *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{http.Client{Jar: jar, Timeout: 30 * time.Second}, url}
}

// send returns the page that a form leads to; without a field, the page itself.
func (b *browser) send(ctx context.Context, path, field, value string) (status int, page string, err error) {
	method, form := http.MethodGet, ""
	if field != "" {
		method, form = http.MethodPost, url.Values{field: {value}}.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(form))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := b.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// paying reports whether a page says that its cart pays.
func paying(page string) bool { return strings.Contains(page, "Paying…") }

// paid reports whether it shows a receipt.
func paid(page string) bool { return strings.Contains(page, "Your receipt is") }

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
