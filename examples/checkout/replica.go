package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/sessionproc/sessionproc/node"
)

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
