package node_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Boards = sessionproc.KindOf[sessionproc.None]("board")
	Pin    = sessionproc.MethodOf[string, int](Boards, "pin")
)

// Board is the state.
type Board struct{ Notes []string }

func (b *Board) pin(_ context.Context, note string) (int, error) {
	b.Notes = append(b.Notes, note)
	return len(b.Notes), nil
}

func boardNode(ctx context.Context, join ...string) (*node.Node, error) {
	k := sessionproc.NewKind(Boards, func(context.Context, sessionproc.None) (*Board, error) { return &Board{}, nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Pin, (*Board).pin)
	return node.Start(ctx, node.Config{Join: join, Kinds: []sessionproc.AnyKind{k}})
}

// shutDown does by hand what RunUntilSignal does. The order matters: the node needs its
// web server until its sessions have moved, and begun requests need the node.
func shutDown(ctx context.Context, n *node.Node, srv *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return errors.Join(
		n.Drain(ctx),      // not ready any more, sessions move; HTTP goes on
		srv.Shutdown(ctx), // no new connections; begun requests are answered
		n.Leave(ctx),      // the others are told, and the node is closed
	)
}

// A replica that ends: drain the node, shut the web server down, leave the cluster.
func ExampleNode_Drain() {
	ctx := context.Background()
	other, err := boardNode(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	n, err := boardNode(ctx, other.Addr())
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()

	if err := Boards.Start(ctx, n, "kitchen", sessionproc.None{}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(Pin.Call(ctx, n, "kitchen", "buy tea"))
	fmt.Println(shutDown(ctx, n, srv), <-served)
	fmt.Println(Pin.Call(ctx, other, "kitchen", "and milk"))
	// Output:
	// 1 <nil>
	// <nil> http: Server closed
	// 2 <nil>
}
