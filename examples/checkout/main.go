// Checkout is a shop to copy from: carts that are the sessions of browsers, stocks that all carts share, and
// payments that take 3 s and are made once, on several replicas behind a load balancer without stickiness.
//
//	go run ./examples/checkout
//
// opens it: three replicas in one process, behind a proxy. Read cart.go first, then stock.go. bank.go is the client
// of the payment API, web.go the pages, replica.go the life of a replica. main.go is what a real shop does not have:
// a bank that is none, and several replicas in one process. The tests show what comes of a payment whose node is
// killed, and a deploy of the second release and its rollback.
//
// A program that is one replica calls start and run, with a node.Config that has Bind, Join or JoinDNS, and beyond
// one machine a Secret (see package node/newsecret), and with a key for cookies of 32 random bytes or more: Secret and
// key are the same for all replicas. A real shop serves HTTPS, asks for passwords, and keeps what it has sold in a
// database: a full stop of all replicas forgets the stocks.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// atFirst is how much of each tea there is.
const atFirst = 10

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where the shop is served")
	flag.Parse()
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("The shop is open at http://%s/\nCtrl-C closes it.\n", ln.Addr())
	if err := run(ln, &Bank{URL: openFakeBank(3 * time.Second), Client: http.DefaultClient}); err != nil {
		log.Fatal(err)
	}
}

// A fakeBank is a payment API that takes its time, and charges each key once.
type fakeBank struct {
	takes   time.Duration
	mu      sync.Mutex
	charges map[string]time.Time // guarded by mu: when each is done, by key
}

// openFakeBank serves one as long as this process lives, and returns its URL.
func openFakeBank(takes time.Duration) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(ln, newFakeBank(takes))
	return "http://" + ln.Addr().String()
}

func newFakeBank(takes time.Duration) *fakeBank {
	return &fakeBank{takes: takes, charges: map[string]time.Time{}}
}

func (b *fakeBank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, card := r.Header.Get("Idempotency-Key"), r.PostFormValue("card")
	b.mu.Lock()
	if b.charges[key].IsZero() {
		b.charges[key] = time.Now().Add(b.takes)
	}
	done := b.charges[key]
	b.mu.Unlock()
	select {
	case <-time.After(time.Until(done)):
	case <-r.Context().Done(): // the charge stands
		return
	}
	if card == "declined" {
		w.WriteHeader(http.StatusPaymentRequired)
		return
	}
	json.NewEncoder(w).Encode(Receipt{"R-" + key[:6]})
}

// A proxy hands each request to the next replica in turn that is ready, whoever asks.
type proxy struct {
	replicas atomic.Pointer[[]*replica]
	turn     atomic.Uint64
}

func (p *proxy) next(r *httputil.ProxyRequest) {
	all := *p.replicas.Load()
	for range all {
		at := all[p.turn.Add(1)%uint64(len(all))]
		if r.SetURL(&url.URL{Scheme: "http", Host: at.ln.Addr().String()}); at.node.Ready() == nil {
			break
		}
	}
	r.Out.Host = r.In.Host // the check of origins compares it
}

// run runs three replicas in this process, and a proxy in front of them, until a signal comes.
func run(ln net.Listener, bank *Bank) error {
	var all []*replica
	var seeds []string
	key := []byte(rand.Text() + rand.Text())
	for range 3 {
		web, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		r, err := start(web, key, node.Config{Join: seeds, Kinds: []sessionproc.AnyKind{NewCarts(bank), NewStocks(atFirst)}})
		if err != nil {
			return err
		}
		all, seeds = append(all, r), append(seeds, r.node.Addr())
	}
	p := &proxy{}
	p.replicas.Store(&all)
	go http.Serve(ln, &httputil.ReverseProxy{Rewrite: p.next})
	ended := make(chan error)
	for _, r := range all {
		go func() {
			ended <- r.run(context.Background(), node.Shutdown{ReadyDelay: time.Millisecond, Timeout: 5 * time.Second})
		}()
	}
	return errors.Join(<-ended, <-ended, <-ended)
}
