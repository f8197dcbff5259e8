package sessionproc_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract: names and types that every caller imports.
var (
	Readers = sessionproc.KindOf[sessionproc.None]("reader")
	Open    = sessionproc.MethodOf[string, int](Readers, "open")
)

// Reader is the state of one session. Its handlers never run at the same time, so it
// needs no lock.
type Reader struct{ Pages []string }

func startReader(context.Context, sessionproc.None) (*Reader, error) { return &Reader{}, nil }

func (r *Reader) open(_ context.Context, page string) (int, error) {
	r.Pages = append(r.Pages, page)
	return len(r.Pages), nil
}

// A first kind: a state, a start function, a handler, and a node that runs it.
func Example() {
	ctx := context.Background()
	k := sessionproc.NewKind(Readers, startReader, sessionproc.KindConfig{IdleTimeout: 30 * time.Minute})
	sessionproc.HandleCall(k, Open, (*Reader).open)

	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{k}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()

	started, err := Readers.Ensure(ctx, n, "ann", sessionproc.None{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("started:", started)
	for _, page := range []string{"/", "/tea"} {
		count, err := Open.Call(ctx, n, "ann", page)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(page, count)
	}
	// Output:
	// started: true
	// / 1
	// /tea 2
}
