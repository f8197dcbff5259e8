// Counter counts the visits of three people, in a session for each.
//
//	go run ./examples/counter                          one node, by itself
//	go run ./examples/counter -bind 127.0.0.1:7001     the same, and it stays to be joined
//	go run ./examples/counter -join 127.0.0.1:7001     another node that shares the sessions
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract: what callers need, on any node.
var (
	Counters = sessionproc.KindOf[sessionproc.None]("counter")
	Add      = sessionproc.MethodOf[int, int](Counters, "add")
)

// counter is the state of one session.
type counter struct{ N int }

func (c *counter) add(_ context.Context, by int) (int, error)   { c.N += by; return c.N, nil }
func start(context.Context, sessionproc.None) (*counter, error) { return &counter{}, nil }

func main() {
	bind := flag.String("bind", "", "address of this node; it stays there until Ctrl-C")
	join := flag.String("join", "", "address of a node to share sessions with")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	kind := sessionproc.NewKind(Counters, start, sessionproc.KindConfig{StartOnCall: true})
	sessionproc.HandleCall(kind, Add, (*counter).add)
	n, err := node.Start(ctx, node.Config{Bind: *bind, Join: strings.Fields(*join), Kinds: []sessionproc.AnyKind{kind}})
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"ann", "bob", "cid"} {
		visits, err := Add.Call(ctx, n, name, 1) // starts the session unless it is there, on whatever node
		place, lost := n.Where(name)
		if err := errors.Join(err, lost); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d, kept by the node at %s\n", name, visits, place.Owner.Addr)
	}
	if *bind != "" {
		<-ctx.Done()
	}
	if err := n.Leave(ctx); err != nil {
		log.Fatal(err)
	}
}
