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
	Visits = sessionproc.KindOf[sessionproc.None]("visits")
	Visit  = sessionproc.MethodOf[string, int](Visits, "visit")
)

// Visitor is the state of one session. Its handlers never run at the same time, so it
// needs no lock.
type Visitor struct{ Pages []string }

func startVisitor(context.Context, sessionproc.None) (*Visitor, error) { return &Visitor{}, nil }

func (v *Visitor) visit(_ context.Context, page string) (int, error) {
	v.Pages = append(v.Pages, page)
	return len(v.Pages), nil
}

// A first kind: a state, a start function, a handler, and a node that runs it.
func Example() {
	ctx := context.Background()
	k := sessionproc.NewKind(Visits, startVisitor, sessionproc.KindConfig{IdleTimeout: 30 * time.Minute})
	sessionproc.HandleCall(k, Visit, (*Visitor).visit)

	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{k}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()

	started, err := Visits.Ensure(ctx, n, "ann", sessionproc.None{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("started:", started)
	for _, page := range []string{"/", "/tea"} {
		count, err := Visit.Call(ctx, n, "ann", page)
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
