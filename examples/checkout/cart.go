package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract of a cart: what callers on any replica need. The names are on the wire.
var (
	Carts   = sessionproc.KindOf[none]("cart")
	Look    = sessionproc.MethodOf[none, View](Carts, "look")
	Login   = sessionproc.MethodOf[string, View](Carts, "login") // the user
	Put     = sessionproc.MethodOf[string, View](Carts, "put")   // one more of a tea, by its SKU
	Pay     = sessionproc.MethodOf[string, View](Carts, "pay")   // with a card: what the bank's page has given for it
	Changed = sessionproc.EventOf[View](Carts, "changed")
	settle  = sessionproc.TaskOf[Order, Receipt](Carts, "settle")
	settled = sessionproc.NoticeOf[sessionproc.Result[Receipt]](Carts, "settled")
	again   = sessionproc.NoticeOf[none](Carts, "again")
)

type none = sessionproc.None

// What a cart refuses. errors.Is finds these on every replica.
var (
	ErrNoSuchTea = sessionproc.NewError("no_such_tea", "we do not sell that tea")
	ErrPaying    = sessionproc.NewError("paying", "the order is being paid")
	ErrLogin     = sessionproc.NewError("login", "log in and take a tea before you pay")
)

// Reservations last for holdFor after each click. The bank is asked again askIn after it could not say.
const holdFor, askIn = 10 * time.Minute, 5 * time.Second

// Cart is the state of one browser's session: plain data that moves between replicas, and between releases.
type Cart struct {
	User   string
	Order  string         // its number, which names its reservations; "" if there is none
	Items  map[string]int // of the order, by SKU
	Tries  int            // how many of its payments were declined
	Card   string         // of the payment that is under way; "": none is
	Note   string         // what the buyer is to know
	Until  time.Time      `msgpack:"Deadline"` // of the reservations; release 1 has it as Deadline, and reads it
	Number string         // of the last receipt: a field that release 1 lacks, and passes on unread
}

// View is what a page shows.
type View struct {
	User, Note, Receipt string
	Items               map[string]int
	Cents               int
	Paying              bool
	Until               time.Time
}

// NewCarts returns the kind that a node is given. A second replica has a copy of each cart (Replicas).
func NewCarts(bank *Bank) *sessionproc.Kind[Cart, none] {
	k := sessionproc.NewKind(Carts, func(context.Context, none) (*Cart, error) { return &Cart{}, nil },
		sessionproc.KindConfig{Replicas: 1, StartOnCall: true, IdleTimeout: 30 * time.Minute})
	sessionproc.HandleCall(k, Look, (*Cart).look, sessionproc.MethodConfig{ReadOnly: true, NoStart: true})
	sessionproc.HandleCall(k, Login, (*Cart).login)
	sessionproc.HandleCall(k, Put, (*Cart).put)
	sessionproc.HandleCall(k, Pay, (*Cart).pay)
	sessionproc.HandleEvent(k, Changed, (*Cart).view)
	sessionproc.HandleTask(k, settle, bank.settle) // no handler: it runs beside the session
	sessionproc.HandleCast(k, settled, (*Cart).settled)
	sessionproc.HandleCast(k, again, (*Cart).again)
	k.OnEnd((*Cart).ended)
	return k
}

func (c *Cart) look(context.Context, none) (View, error) { return c.view(), nil }

// login comes after the session has got a new ID. By the label all sessions of the user are found.
func (c *Cart) login(ctx context.Context, user string) (View, error) {
	if err := sessionproc.FromContext(ctx).SetLabel("user", user); err != nil {
		return View{}, err
	}
	c.User = user
	return c.changed(ctx)
}

func (c *Cart) put(ctx context.Context, sku string) (View, error) {
	switch {
	case prices[sku] == 0:
		return View{}, ErrNoSuchTea
	case c.Card != "":
		return View{}, ErrPaying
	case c.Order == "":
		*c = Cart{User: c.User, Order: sessionproc.NewID(), Items: map[string]int{}}
	}
	c.Items[sku]++
	if err := c.hold(ctx); err != nil {
		c.Items[sku]--
		return View{}, err
	}
	return c.changed(ctx)
}

// hold reserves all items, from now on. It can be repeated: the stocks are told a number, not how many more.
func (c *Cart) hold(ctx context.Context) error {
	until := time.Now().Add(holdFor)
	for sku, qty := range c.Items {
		r := Reservation{Order: c.Order, Qty: qty, Until: until}
		if _, err := Reserve.Call(ctx, sessionproc.FromContext(ctx).Cluster(), stockID(sku), r); err != nil {
			return err
		}
	}
	c.Until = until
	return nil
}

func (c *Cart) pay(ctx context.Context, card string) (View, error) {
	if c.Card != "" {
		return c.view(), nil // a second click
	}
	if c.User == "" || c.cents() == 0 || card == "" {
		return View{}, ErrLogin
	}
	if err := c.hold(ctx); err != nil { // the reservations may have ended, and the tea may be sold
		return View{}, err
	}
	c.Card, c.Note = card, ""
	if err := c.settle(ctx); err != nil {
		c.Card = ""
		return View{}, err
	}
	return c.changed(ctx)
}

// settle has a task settle the order while the session answers the page. If the node of the work is lost, the
// work runs again elsewhere: by its key, which the order gives, the bank knows it again.
func (c *Cart) settle(ctx context.Context) error {
	o := Order{fmt.Sprintf("%s-%d", c.Order, c.Tries), c.Order, c.Items, c.cents(), c.Card}
	return sessionproc.GoWith(ctx, "settle", o, settle, settled, sessionproc.TaskConfig{Retry: true})
}

// settled gets the outcome, wherever the session is by then and under whatever ID.
func (c *Cart) settled(ctx context.Context, r sessionproc.Result[Receipt]) error {
	switch {
	case r.Err == nil:
		*c = Cart{User: c.User, Number: r.Value.Number}
	case errors.Is(r.Err, ErrDeclined):
		c.Card, c.Note = "", "Your bank has declined the payment."
		c.Tries++ // the next one has another key
	default: // nobody knows whether the bank has charged: it is asked again, with the same key, until it says so
		sessionproc.FromContext(ctx).Logger().Warn("the outcome of a payment is not known", "order", c.Order, "err", r.Err)
		return again.AfterNamed(ctx, "again", askIn, none{})
	}
	_, err := c.changed(ctx)
	return err
}

func (c *Cart) again(ctx context.Context, _ none) error {
	if err := c.settle(ctx); err != nil { // there are too many tasks
		return errors.Join(err, again.AfterNamed(ctx, "again", askIn, none{}))
	}
	return nil
}

// ended leaves a word of an order that nobody waits for any more: a user who logs out everywhere may be paying.
func (c *Cart) ended(ctx context.Context, why sessionproc.Reason) {
	if c.Card != "" {
		sessionproc.FromContext(ctx).Logger().Error("a cart has ended while it paid", "order", c.Order, "reason", why)
	}
}

func (c *Cart) cents() (sum int) {
	for sku, qty := range c.Items {
		sum += qty * prices[sku]
	}
	return sum
}

// changed tells all windows of the browser.
func (c *Cart) changed(ctx context.Context) (View, error) {
	return c.view(), Changed.Publish(ctx, c.view())
}

func (c *Cart) view() View {
	return View{c.User, c.Note, c.Number, c.Items, c.cents(), c.Card != "", c.Until}
}
