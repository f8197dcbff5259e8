package sessionproc_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Orders = sessionproc.KindOf[int]("order")
	Pay    = sessionproc.MethodOf[string, string](Orders, "pay")
)

// Order is the state: plain data that moves from node to node.
type Order struct {
	Amount  int
	Receipt string
}

// Bank is what the handler needs and the state must not hold. Each node makes its own.
type Bank interface {
	Charge(ctx context.Context, card string, amount int) (receipt string, err error)
}

// Cashier has the dependencies of the handlers. It is shared by all sessions of a node,
// so it must be safe for concurrent use.
type Cashier struct{ bank Bank }

// pay is the handler. Its first argument is the state, its receiver has the rest.
func (c *Cashier) pay(o *Order, ctx context.Context, card string) (string, error) {
	if o.Receipt != "" {
		return o.Receipt, nil
	}
	receipt, err := c.bank.Charge(ctx, card, o.Amount)
	if err != nil {
		return "", err
	}
	o.Receipt = receipt
	return receipt, nil
}

// NewOrders returns the kind. main gives it the real bank, a test a fake.
func NewOrders(b Bank) *sessionproc.Kind[Order, int] {
	c := &Cashier{b}
	k := sessionproc.NewKind(Orders, func(_ context.Context, amount int) (*Order, error) {
		return &Order{Amount: amount}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Pay, c.pay)
	return k
}

// paperBank is a fake.
type paperBank struct{}

func (paperBank) Charge(_ context.Context, card string, amount int) (string, error) {
	return fmt.Sprintf("%s paid %d", card, amount), nil
}

// A handler that needs a database, a client or a logger is a method of what has these.
// The state is its argument.
func ExampleHandleCall_dependencies() {
	ctx := context.Background()
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{NewOrders(paperBank{})}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := Orders.Start(ctx, n, "order-1", 30); err != nil {
		log.Fatal(err)
	}
	receipt, err := Pay.Call(ctx, n, "order-1", "visa")
	fmt.Println(receipt, err)
	// Output:
	// visa paid 30 <nil>
}
