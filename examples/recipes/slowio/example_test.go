package slowio_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Carts   = sessionproc.KindOf[sessionproc.None]("cart")
	Pay     = sessionproc.MethodOf[sessionproc.None, Payment](Carts, "pay")
	Look    = sessionproc.MethodOf[sessionproc.None, Payment](Carts, "look")
	Charged = sessionproc.NoticeOf[string](Carts, "charged") // the key of a payment
	Check   = sessionproc.NoticeOf[string](Carts, "check")   // likewise
	Changed = sessionproc.EventOf[Payment](Carts, "changed")
)

// Status is how far a payment has come.
type Status string

const (
	Running Status = "running"
	Paid    Status = "paid"
)

// Payment is what a cart knows of its payment.
type Payment struct {
	Key    string // under which the bank recognises a repetition
	Status Status
}

// Cart is the state. It holds no client of the bank: that would not survive a move.
type Cart struct{ Payment Payment }

func (c *Cart) look(context.Context, sessionproc.None) (Payment, error) { return c.Payment, nil }

func (c *Cart) charged(ctx context.Context, key string) error {
	if c.Payment.Key != key || c.Payment.Status != Running {
		return nil // an outcome that came late, or twice
	}
	c.Payment.Status = Paid
	sessionproc.FromContext(ctx).CancelTimer("payment")
	return Changed.Publish(ctx, c.Payment)
}

// bank stands for the client of a slow service. answers lets an answer out.
type bank struct{ answers chan struct{} }

func (b *bank) Charge(ctx context.Context, key string) error {
	select {
	case <-b.answers:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shop has what handlers need beside the state.
type shop struct {
	bank     *bank
	requests chan struct{} // bounds the requests that run at once
	patience time.Duration // between two questions for one payment
	log      *slog.Logger
}

func (s *shop) pay(c *Cart, ctx context.Context, _ sessionproc.None) (Payment, error) {
	if c.Payment.Status == Running {
		return c.Payment, nil // a second click
	}
	c.Payment = Payment{Key: sessionproc.NewID(), Status: Running}
	s.ask(ctx, c.Payment.Key)
	return c.Payment, Check.AfterNamed(ctx, "payment", s.patience, c.Payment.Key)
}

func (s *shop) check(c *Cart, ctx context.Context, key string) error {
	if c.Payment.Key != key || c.Payment.Status != Running {
		return nil
	}
	s.ask(ctx, key)
	return Check.AfterNamed(ctx, "payment", s.patience, key)
}

// ask charges in a goroutine and casts the outcome back. It must not touch the state.
func (s *shop) ask(ctx context.Context, key string) {
	select {
	case s.requests <- struct{}{}:
	default:
		return // too many at once: check asks again
	}
	session := sessionproc.FromContext(ctx)
	id, cluster := session.ID(), session.Cluster()
	go func() {
		defer func() { <-s.requests }()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.bank.Charge(ctx, key); err != nil {
			return // check asks again, with the same key
		}
		if err := Charged.Cast(ctx, cluster, id, key); err != nil {
			s.log.Warn("outcome not delivered", "session", sessionproc.LogID(id), "err", err)
		}
	}()
}

func newCarts(s *shop) *sessionproc.Kind[Cart, sessionproc.None] {
	k := sessionproc.NewKind(Carts, newCart, sessionproc.KindConfig{IdleTimeout: time.Hour})
	sessionproc.HandleCall(k, Pay, s.pay)
	sessionproc.HandleCall(k, Look, (*Cart).look, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCast(k, Charged, (*Cart).charged)
	sessionproc.HandleCast(k, Check, s.check)
	sessionproc.HandleEvent(k, Changed, func(c *Cart) Payment { return c.Payment })
	return k
}

func newCart(context.Context, sessionproc.None) (*Cart, error) { return &Cart{}, nil }

// The session answers while the bank takes its time. The customer logs in meanwhile, so
// that the first outcome finds nobody under the old ID: the timer asks again.
func Example() {
	ctx := context.Background()
	s := &shop{
		bank: &bank{make(chan struct{})}, requests: make(chan struct{}, 100),
		patience: 200 * time.Millisecond, log: slog.New(slog.DiscardHandler),
	}
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{newCarts(s)}})
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
	close(s.bank.answers)

	changes, err := Changed.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer changes.Close()
	for u, err := range changes.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if u.Value.Status == Paid {
			fmt.Println("later:", u.Value.Status)
			break
		}
	}
	// Output:
	// pay:  running <nil>
	// look: running <nil>
	// later: paid
}
