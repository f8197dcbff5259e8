package sessionproc_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Invoices = sessionproc.KindOf[int]("invoice")
	Pay      = sessionproc.MethodOf[string, string](Invoices, "pay")
)

// Invoice is the state: plain data that moves from node to node.
type Invoice struct {
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
func (c *Cashier) pay(i *Invoice, ctx context.Context, card string) (string, error) {
	if i.Receipt != "" {
		return i.Receipt, nil
	}
	receipt, err := c.bank.Charge(ctx, card, i.Amount)
	if err != nil {
		return "", err
	}
	i.Receipt = receipt
	return receipt, nil
}

// NewInvoices returns the kind. main gives it the real bank, a test a fake.
func NewInvoices(b Bank) *sessionproc.Kind[Invoice, int] {
	c := &Cashier{b}
	k := sessionproc.NewKind(Invoices, func(_ context.Context, amount int) (*Invoice, error) {
		return &Invoice{Amount: amount}, nil
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
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{NewInvoices(paperBank{})}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := Invoices.Start(ctx, n, "invoice-1", 30); err != nil {
		log.Fatal(err)
	}
	receipt, err := Pay.Call(ctx, n, "invoice-1", "visa")
	fmt.Println(receipt, err)
	// Output:
	// visa paid 30 <nil>
}
