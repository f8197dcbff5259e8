package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeweb"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

var (
	Carts   = sessionproc.KindOf[sessionproc.None]("cart")
	PutItem = sessionproc.MethodOf[string, Contents](Carts, "put")
	Changed = sessionproc.EventOf[Contents](Carts, "changed")
)

// Contents is what a page shows.
type Contents struct{ Items []string }

// Cart is the state.
type Cart struct{ Items []string }

func (c *Cart) put(ctx context.Context, item string) (Contents, error) {
	c.Items = append(c.Items, item)
	return c.contents(), Changed.Publish(ctx, c.contents())
}

func (c *Cart) contents() Contents { return Contents{c.Items} }

func newCartKind() sessionproc.AnyKind {
	k := sessionproc.NewKind(Carts, func(context.Context, sessionproc.None) (*Cart, error) { return &Cart{}, nil },
		sessionproc.KindConfig{StartOnCall: true, IdleTimeout: 30 * time.Minute})
	sessionproc.HandleCall(k, PutItem, (*Cart).put)
	sessionproc.HandleEvent(k, Changed, (*Cart).contents)
	return k
}

// handler makes what the web server serves, and the streams that end with it.
func handler(n *node.Node, key []byte) (http.Handler, *sessionhttp.EventStream[Contents], error) {
	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{key}}) // in development with Insecure, for plain HTTP
	if err != nil {
		return nil, nil, err
	}
	changes, err := sessionhttp.Events(n, Changed, sessionhttp.EventsConfig[Contents]{})
	if err != nil {
		return nil, nil, err
	}
	pages := http.NewServeMux()
	pages.Handle("GET /events", changes)
	pages.HandleFunc("POST /cart/{item}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := sessionhttp.ID(r.Context())
		c, err := PutItem.Call(r.Context(), n, id, r.PathValue("item"))
		if err != nil {
			sessionhttp.WriteError(w, err)
			return
		}
		fmt.Fprintln(w, c.Items)
	})
	mux := http.NewServeMux()
	mux.Handle("/", web.Middleware(pages))
	mux.Handle("GET /ready", nodeweb.Ready(n)) // for the load balancer
	mux.Handle("GET /live", nodeweb.Live(n))   // for what restarts the program
	return mux, changes, nil
}

// runReplica is the life of one replica. It returns after a signal, or when ctx ends.
func runReplica(ctx context.Context, ln net.Listener, key []byte, join ...string) error {
	n, err := node.Start(ctx, node.Config{ // beyond one machine with Bind and Secret too
		Join:  join,
		Kinds: []sessionproc.AnyKind{newCartKind()},
	})
	if err != nil {
		return err
	}
	defer n.Close()
	h, changes, err := handler(n, key)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	srv.RegisterOnShutdown(changes.Close) // browsers go on at another replica

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	served := make(chan error, 1)
	go func() { // RunUntilSignal ends it
		err := srv.Serve(ln)
		stop(err) // if it ends by itself, so does the replica
		served <- err
	}()
	// Drain the node, then shut HTTP down, then leave the cluster.
	err = node.RunUntilSignal(ctx, n, node.Shutdown{HTTP: srv, ReadyDelay: time.Millisecond})
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}

// A web server from its start to its end. Behind a load balancer, give ReadyDelay the
// time that its probes take to notice, 5 s by default.
func ExampleRunUntilSignal() {
	ctx := context.Background()
	other, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{newCartKind()}})
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, end := context.WithCancel(ctx) // stands for SIGTERM
	ended := make(chan error)
	go func() { ended <- runReplica(ctx, ln, bytes.Repeat([]byte("k1"), 16), other.Addr()) }()

	res, err := http.Post("http://"+ln.Addr().String()+"/cart/tea", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	fmt.Println(res.StatusCode, string(bytes.TrimSpace(body)), err)
	end()
	fmt.Println(<-ended)
	fmt.Println("carts at the other replica:", other.Sessions())
	// Output:
	// 200 [tea] <nil>
	// <nil>
	// carts at the other replica: 1
}
