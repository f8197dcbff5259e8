package sessionproc_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Orders = sessionproc.KindOf[sessionproc.None]("order")
	Total  = sessionproc.MethodOf[string, int](Orders, "total")
)

// prices is what each replica of the program has: here a list, elsewhere a database.
type prices map[string]int

type order struct {
	Items  []string
	prices prices `msgpack:"-"` // does not travel: OnArrive sets it
}

func (o *order) total(_ context.Context, item string) (sum int, err error) {
	o.Items = append(o.Items, item)
	for _, i := range o.Items {
		sum += o.prices[i]
	}
	return sum, nil
}

// newOrders makes the kind for one node, which has the prices.
func newOrders(p prices) *sessionproc.Kind[order, sessionproc.None] {
	kind := sessionproc.NewKind(Orders, func(context.Context, sessionproc.None) (*order, error) {
		return &order{prices: p}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(kind, Total, (*order).total)
	kind.OnArrive(func(o *order, ctx context.Context, a sessionproc.Arrival) error {
		o.prices = p
		fmt.Println("arrived:", a.Reason)
		return nil
	})
	return kind
}

// A state has what does not travel. The start function sets it in a new session, and
// OnArrive wherever the session comes to: here, as somebody logs in.
func ExampleKind_OnArrive() {
	ctx := context.Background()
	kind := newOrders(prices{"tea": 3, "cup": 7})
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{kind}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	id := sessionproc.NewID()
	if err := Orders.Start(ctx, n, id, sessionproc.None{}); err != nil {
		log.Fatal(err)
	}
	sum, err := Total.Call(ctx, n, id, "tea")
	fmt.Println(sum, err)

	if id, err = n.Renew(ctx, id); err != nil {
		log.Fatal(err)
	}
	sum, err = Total.Call(ctx, n, id, "cup")
	fmt.Println(sum, err)
	// Output:
	// 3 <nil>
	// arrived: renewed
	// 10 <nil>
}
