package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A firstCart is the state as release 1 had it.
type firstCart struct {
	User     string
	Order    string
	Items    map[string]int
	Tries    int
	Card     string
	Note     string
	Deadline time.Time
}

// in has a handler of today work on the state of release 1: what that lacks is not kept.
func in[Req, R any](f func(*Cart, context.Context, Req) (R, error)) func(*firstCart, context.Context, Req) (R, error) {
	return func(s *firstCart, ctx context.Context, r Req) (R, error) {
		c := s.cart()
		defer func() { *s = firstCart{c.User, c.Order, c.Items, c.Tries, c.Card, c.Note, c.Until} }()
		return f(c, ctx, r)
	}
}

func (s *firstCart) cart() *Cart {
	return &Cart{s.User, s.Order, s.Items, s.Tries, s.Card, s.Note, s.Deadline, ""}
}

func told[M any](f func(*Cart, context.Context, M) error) func(*firstCart, context.Context, M) error {
	g := in(func(c *Cart, ctx context.Context, m M) (none, error) { return none{}, f(c, ctx, m) })
	return func(s *firstCart, ctx context.Context, m M) error {
		_, err := g(s, ctx, m)
		return err
	}
}

// newFirstCarts is NewCarts of release 1.
func newFirstCarts(bank *Bank) sessionproc.AnyKind {
	k := sessionproc.NewKind(Carts, func(context.Context, none) (*firstCart, error) { return &firstCart{}, nil },
		sessionproc.KindConfig{Replicas: 1, StartOnCall: true, IdleTimeout: 30 * time.Minute})
	sessionproc.HandleCall(k, Look, in((*Cart).look), sessionproc.MethodConfig{ReadOnly: true, NoStart: true})
	sessionproc.HandleCall(k, Login, in((*Cart).login))
	sessionproc.HandleCall(k, Put, in((*Cart).put))
	sessionproc.HandleCall(k, Pay, in((*Cart).pay))
	sessionproc.HandleEvent(k, Changed, func(s *firstCart) View { return s.cart().view() })
	sessionproc.HandleTask(k, settle, bank.settle)
	sessionproc.HandleCast(k, settled, told((*Cart).settled))
	sessionproc.HandleCast(k, again, told((*Cart).again))
	return k
}

// A fleet is replicas behind a proxy, over real sockets.
type fleet struct {
	t     *testing.T
	bank  *Bank
	key   []byte
	proxy proxy
	all   []*replica
	stop  map[*replica]func() error
}

func newFleet(t *testing.T, bank *Bank) (f *fleet, url string) {
	f = &fleet{t: t, bank: bank, key: newKey(), stop: map[*replica]func() error{}}
	for range 3 {
		f.add(1)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: f.proxy.next})
	t.Cleanup(func() {
		front.Close()
		for _, r := range f.all {
			r.node.Close()
			f.stop[r]() // it was closed by somebody else
		}
	})
	return f, front.URL
}

// add starts a replica of a release, and has the proxy use it.
func (f *fleet) add(release int) {
	f.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(f.t, err)
	cfg := node.Config{Kinds: []sessionproc.AnyKind{newFirstCarts(f.bank), NewStocks(1000)}}
	if release == 2 {
		cfg.Kinds[0] = NewCarts(f.bank)
	}
	for _, r := range f.all {
		cfg.Join = append(cfg.Join, r.node.Addr())
	}
	r, err := start(ln, f.key, cfg)
	require.NoError(f.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx, node.Shutdown{ReadyDelay: 100 * time.Millisecond}) }()
	f.stop[r] = func() error {
		cancel()
		return <-ended
	}
	require.Eventually(f.t, func() bool { return r.node.Ready() == nil }, 20*time.Second, 10*time.Millisecond)
	f.use(append(slices.Clone(f.all), r))
}

func (f *fleet) use(all []*replica) {
	f.all = all
	f.proxy.replicas.Store(&all)
}

// roll replaces all replicas by those of a release, one after another.
func (f *fleet) roll(release int) {
	f.t.Helper()
	for _, old := range slices.Clone(f.all) {
		f.add(release)
		require.NoError(f.t, f.stop[old]())
		f.use(slices.DeleteFunc(slices.Clone(f.all), func(r *replica) bool { return r == old }))
	}
}

// While release 2 is deployed, rolled back and deployed again, no request fails, each payment is made once, and what
// release 1 does not know of a cart comes back with release 2.
func TestADeployAndItsRollbackFailNoRequest(t *testing.T) {
	bank := newFakeBank(500 * time.Millisecond)
	api := httptest.NewServer(bank)
	defer api.Close()
	f, url := newFleet(t, &Bank{URL: api.URL, Client: http.DefaultClient})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wait sync.WaitGroup
	var sent, payments atomic.Int64
	failures := make(chan string, 1000)
	for i := range 8 {
		b := newBrowser(t, url)
		wait.Go(func() {
			do := func(path, field, value string) string {
				status, page, err := b.send(t.Context(), path, field, value)
				if sent.Add(1); err != nil || status != http.StatusOK {
					failures <- fmt.Sprint(path, " ", status, " ", err)
				}
				return page
			}
			for round := 0; ctx.Err() == nil; round++ {
				do("/put", "sku", "matcha")
				if round == 0 || i%4 == 0 && round%3 == 0 { // a session may log in once a second
					do("/login", "user", fmt.Sprint("user-", i))
				}
				do("/put", "sku", "sencha")
				for page := do("/pay", "card", "good"); paying(page); page = do("/", "", "") {
					time.Sleep(20 * time.Millisecond)
				}
				payments.Add(1)
			}
		})
	}
	lasting := newBrowser(t, url) // its cart has what release 1 does not know
	show := func(path, field, value string) string {
		status, page, err := lasting.send(t.Context(), path, field, value)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		return page
	}
	f.roll(2)
	show("/put", "sku", "oolong")
	show("/login", "user", "lasting")
	page := show("/pay", "card", "good")
	for ; paying(page); page = show("/", "", "") {
		time.Sleep(20 * time.Millisecond)
	}
	require.True(t, paid(page))
	f.roll(1)
	require.False(t, paid(show("/", "", "")))
	f.roll(2)
	require.True(t, paid(show("/", "", "")))
	cancel()
	wait.Wait()
	close(failures)
	for failure := range failures {
		require.Fail(t, failure)
	}
	t.Logf("%d requests, %d payments", sent.Load(), payments.Load())
	require.Greater(t, payments.Load(), int64(10))
	require.EqualValues(t, payments.Load()+1, bank.count())
	for sku, sold := range map[string]int64{"matcha": payments.Load(), "sencha": payments.Load(), "oolong": 1} {
		left, err := Left.Call(t.Context(), f.all[0].node, stockID(sku), none{})
		require.NoError(t, err)
		require.EqualValues(t, 1000-sold, left, sku)
	}
}
