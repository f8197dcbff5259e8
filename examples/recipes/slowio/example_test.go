package slowio_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Carts   = sessionproc.KindOf[sessionproc.None]("cart")
	Pay     = sessionproc.MethodOf[sessionproc.None, Payment](Carts, "pay")
	Look    = sessionproc.MethodOf[sessionproc.None, Payment](Carts, "look")
	Charge  = sessionproc.TaskOf[string, Receipt](Carts, "charge") // the key of a payment
	Charged = sessionproc.NoticeOf[sessionproc.Result[Receipt]](Carts, "charged")
	Changed = sessionproc.EventOf[Payment](Carts, "changed")
)

// Status is how far a payment has come.
type Status string

const (
	Running Status = "running"
	Paid    Status = "paid"
	Failed  Status = "failed"
)

// Payment is what a cart knows of its payment.
type Payment struct {
	Key    string // under which the bank recognises a repetition
	Status Status
	Number int // of the receipt
}

// Receipt is the bank's answer.
type Receipt struct{ Number int }

// Cart is the state. It holds no client of the bank: that would not survive a move.
type Cart struct{ Payment Payment }

func (c *Cart) look(context.Context, sessionproc.None) (Payment, error) { return c.Payment, nil }

func (c *Cart) pay(ctx context.Context, _ sessionproc.None) (Payment, error) {
	if c.Payment.Status == Running {
		return c.Payment, nil // a second click
	}
	p := Payment{Key: sessionproc.NewID(), Status: Running}
	err := sessionproc.GoWith(ctx, "payment", p.Key, Charge, Charged,
		sessionproc.TaskConfig{Limit: 20 * time.Second, Retry: true})
	if err == nil { // otherwise nothing has begun
		c.Payment = p
	}
	return c.Payment, err
}

// charged gets the result, wherever the session is by then.
func (c *Cart) charged(ctx context.Context, r sessionproc.Result[Receipt]) error {
	if r.Err != nil {
		c.Payment.Status = Failed
	} else {
		c.Payment.Status, c.Payment.Number = Paid, r.Value.Number
	}
	return Changed.Publish(ctx, c.Payment)
}

// bank stands for the client of a slow service. answers lets an answer out.
type bank struct{ answers chan struct{} }

// charge is the work of a task. It must not touch a state.
func (b *bank) charge(ctx context.Context, key string) (Receipt, error) {
	select {
	case <-b.answers:
		return Receipt{Number: 4711}, nil
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	}
}

func newCarts(b *bank) *sessionproc.Kind[Cart, sessionproc.None] {
	k := sessionproc.NewKind(Carts, newCart, sessionproc.KindConfig{IdleTimeout: time.Hour})
	sessionproc.HandleCall(k, Pay, (*Cart).pay)
	sessionproc.HandleCall(k, Look, (*Cart).look, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleTask(k, Charge, b.charge)
	sessionproc.HandleCast(k, Charged, (*Cart).charged)
	sessionproc.HandleEvent(k, Changed, func(c *Cart) Payment { return c.Payment })
	return k
}

func newCart(context.Context, sessionproc.None) (*Cart, error) { return &Cart{}, nil }

// The session answers while the bank takes its time. The customer logs in meanwhile, and
// the result comes to the session under its new ID.
func Example() {
	ctx := context.Background()
	b := &bank{make(chan struct{})}
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{newCarts(b)}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := Carts.Start(ctx, n, "ann", sessionproc.None{}); err != nil {
		log.Fatal(err)
	}

	p, err := Pay.Call(ctx, n, "ann", sessionproc.None{})
	fmt.Println("pay: ", p.Status, err)
	p, err = Look.Call(ctx, n, "ann", sessionproc.None{})
	fmt.Println("look:", p.Status, err)

	id, err := n.Renew(ctx, "ann")
	if err != nil {
		log.Fatal(err)
	}
	changes, err := Changed.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer changes.Close()
	close(b.answers)
	for u, err := range changes.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if u.Value.Status == Paid {
			fmt.Println("later:", u.Value.Status, u.Value.Number)
			break
		}
	}
	// Output:
	// pay:  running <nil>
	// look: running <nil>
	// later: paid 4711
}
