package tests

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract of a cart.
var (
	Carts  = sessionproc.KindOf[sessionproc.None]("cart")
	Add    = sessionproc.MethodOf[Item, View](Carts, "add")
	Look   = sessionproc.MethodOf[sessionproc.None, View](Carts, "look")
	Remind = sessionproc.NoticeOf[sessionproc.None](Carts, "remind")
)

// ErrTooMany is the same error on every node.
var ErrTooMany = sessionproc.NewError("too_many", "not that many of one item")

const (
	maxQty    = 99
	idleAfter = time.Hour
	remindIn  = 20 * time.Minute
)

// Item is a request: how many of something to add.
type Item struct {
	SKU string
	Qty int
}

// View is a reply.
type View struct {
	Items     map[string]int
	Reminders int
}

// Cart is the state.
type Cart struct {
	Items     map[string]int
	Reminders int
}

// NewCarts returns the kind, as node.Config and nodetest take it.
func NewCarts() *sessionproc.Kind[Cart, sessionproc.None] {
	k := sessionproc.NewKind(Carts, newCart, sessionproc.KindConfig{StartOnCall: true, IdleTimeout: idleAfter})
	sessionproc.HandleCall(k, Add, (*Cart).add)
	sessionproc.HandleCall(k, Look, (*Cart).look,
		sessionproc.MethodConfig{NoStart: true, ReadOnly: true, NoTouch: true})
	sessionproc.HandleCast(k, Remind, (*Cart).remind)
	k.OnMerge((*Cart).merge)
	return k
}

func newCart(context.Context, sessionproc.None) (*Cart, error) {
	return &Cart{Items: map[string]int{}}, nil
}

// add adds items, and has the customer reminded if nothing follows.
func (c *Cart) add(ctx context.Context, i Item) (View, error) {
	if c.Items[i.SKU]+i.Qty > maxQty {
		return View{}, ErrTooMany
	}
	c.Items[i.SKU] += i.Qty
	err := Remind.AfterNamed(ctx, "remind", remindIn, sessionproc.None{})
	return c.view(), err
}

func (c *Cart) look(context.Context, sessionproc.None) (View, error) { return c.view(), nil }

func (c *Cart) remind(context.Context, sessionproc.None) error {
	c.Reminders++
	return nil
}

// merge takes in another copy of the session, after nodes that were cut off from one
// another have met again. The outcome is the same for whichever of the two it is called.
func (c *Cart) merge(_ context.Context, other *Cart) error {
	for sku, qty := range other.Items {
		c.Items[sku] = max(c.Items[sku], qty)
	}
	c.Reminders = max(c.Reminders, other.Reminders)
	return nil
}

func (c *Cart) view() View { return View{c.Items, c.Reminders} }
