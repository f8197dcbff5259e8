package sessionproc_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Visits = sessionproc.KindOf[sessionproc.None]("visit")
	See    = sessionproc.MethodOf[string, int](Visits, "see")
)

type visit struct {
	Pages []string
	Since time.Time
}

func (v *visit) see(_ context.Context, page string) (int, error) {
	v.Pages = append(v.Pages, page)
	return len(v.Pages), nil
}

// ended has the whole state, and says what becomes of it.
func (v *visit) ended(ctx context.Context, reason sessionproc.Reason) {
	s := sessionproc.FromContext(ctx)
	fmt.Printf("visit %s: %d pages, %s\n", s.ID(), len(v.Pages), reason)
}

// What is to be done at the end of a session, however it ends: here, when somebody
// terminates it.
func ExampleKind_OnEnd() {
	ctx := context.Background()
	kind := sessionproc.NewKind(Visits, func(context.Context, sessionproc.None) (*visit, error) {
		return &visit{Since: time.Now()}, nil
	}, sessionproc.KindConfig{IdleTimeout: 30 * time.Minute})
	sessionproc.HandleCall(kind, See, (*visit).see)
	kind.OnEnd((*visit).ended)

	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{kind}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := Visits.Start(ctx, n, "ann", sessionproc.None{}); err != nil {
		log.Fatal(err)
	}
	if _, err := See.Call(ctx, n, "ann", "/tea"); err != nil {
		log.Fatal(err)
	}
	if err := n.Terminate(ctx, "ann"); err != nil {
		log.Fatal(err)
	}
	// Output: visit ann: 1 pages, terminated
}
