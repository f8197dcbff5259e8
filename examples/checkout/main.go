// Checkout is a shop to copy from: carts that are the sessions of browsers, stocks that all carts share, and
// payments that take 3 s and are made once, on several replicas behind a load balancer without stickiness.
//
//	go run ./examples/checkout                          three replicas and a proxy: open the URL it prints
//	go run ./examples/checkout -bind 127.0.0.1:7001     one replica, whose web server is at -addr, and another:
//	go run ./examples/checkout -bind 127.0.0.1:7002 -join 127.0.0.1:7001 -addr 127.0.0.1:8081
//
// Read cart.go first, then stock.go. bank.go is the client of the payment API, web.go the pages, main.go the life of
// a replica. stage.go is what a real shop does not have: a bank that is none, and several replicas in one process.
// The tests show what comes of a payment whose node is killed, and a deploy of the second release and its rollback.
//
// Replicas that run by themselves need COOKIE_KEY in their environment, 32 random bytes or more, and beyond one
// machine SESSIONPROC_SECRET (see package node/newsecret): the same for all. A real shop serves HTTPS, asks for
// passwords, and keeps what it has sold in a database: a full stop of all replicas forgets the stocks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where the shop is served")
	bind := flag.String("bind", "", "run one replica, with its node at this address")
	join := flag.String("join", "", "addresses of other replicas' nodes, separated by commas")
	bank := flag.String("bank", "", "URL of the payment API (default: a fake one)")
	flag.Parse()
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("The shop is open at http://%s/\nCtrl-C closes it.\n", ln.Addr())
	api := &Bank{URL: *bank, Client: http.DefaultClient}
	if *bank == "" {
		api.URL = openFakeBank(3 * time.Second)
	}
	if *bind == "" {
		err = runStage(ln, api)
	} else {
		var r *replica
		r, err = start(ln, []byte(os.Getenv("COOKIE_KEY")), node.Config{
			Bind:   *bind,
			Join:   strings.FieldsFunc(*join, func(r rune) bool { return r == ',' }),
			Secret: os.Getenv("SESSIONPROC_SECRET"),
			Kinds:  []sessionproc.AnyKind{NewCarts(api), NewStocks(atFirst)},
		})
		if err == nil {
			err = r.run(context.Background(), node.Shutdown{})
		}
	}
	if err != nil {
		log.Fatal(err)
	}
}

// A replica is a node and a web server in front of it.
type replica struct {
	node *node.Node
	ln   net.Listener
	http *http.Server
}

func start(ln net.Listener, cookieKey []byte, cfg node.Config) (*replica, error) {
	n, err := node.Start(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	shop, err := newShop(n, cookieKey)
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	r := &replica{n, ln, &http.Server{Handler: shop.handler(), ReadHeaderTimeout: 5 * time.Second}}
	r.http.RegisterOnShutdown(shop.changes.Close) // live pages go on at another replica
	return r, nil
}

// run serves until a signal comes or ctx ends. Then the carts move to other replicas, and payments that were begun
// here are waited for, while the web server still serves. It ends before the node leaves.
func (r *replica) run(ctx context.Context, how node.Shutdown) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	served := make(chan error, 1)
	go func() { // RunUntilSignal ends it
		err := r.http.Serve(r.ln)
		stop(err) // if it ends by itself, so does the replica
		served <- err
	}()
	how.HTTP = r.http
	err := node.RunUntilSignal(ctx, r.node, how)
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}
