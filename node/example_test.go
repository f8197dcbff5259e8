package node_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Counters = sessionproc.KindOf[sessionproc.None]("counter")
	Add      = sessionproc.MethodOf[int, int](Counters, "add")
)

// Counter is the state of one session.
type Counter struct{ N int }

func (c *Counter) add(_ context.Context, by int) (int, error) { c.N += by; return c.N, nil }

func startCounter(context.Context, sessionproc.None) (*Counter, error) { return &Counter{}, nil }

// startReplica starts one node as a replica of a web application does: with the kinds,
// and with the address of a node to join. The first replica has none to join.
func startReplica(ctx context.Context, join ...string) (*node.Node, error) {
	k := sessionproc.NewKind(Counters, startCounter, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Add, (*Counter).add)
	return node.Start(ctx, node.Config{Join: join, Kinds: []sessionproc.AnyKind{k}})
}

// Two nodes share their sessions: a call reaches the session from either of them, and
// the session goes on when the node that had it leaves.
func Example() {
	ctx := context.Background()
	first, err := startReplica(ctx)
	if err != nil {
		log.Fatal(err)
	}
	second, err := startReplica(ctx, first.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()

	if err := Counters.Start(ctx, first, "ann", sessionproc.None{}); err != nil {
		log.Fatal(err)
	}
	for _, n := range []*node.Node{first, second} {
		sum, err := Add.Call(ctx, n, "ann", 1)
		fmt.Println(sum, err)
	}

	if err := first.Leave(ctx); err != nil { // its sessions move to the second node
		log.Fatal(err)
	}
	sum, err := Add.Call(ctx, second, "ann", 1)
	fmt.Println(sum, err)
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}
