package main

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract of a cart: what callers on any replica need. The names are on
// the wire.
var (
	Carts = sessionproc.KindOf[sessionproc.None]("cart")
	Add   = sessionproc.MethodOf[AddItem, View](Carts, "add")
	Look  = sessionproc.MethodOf[sessionproc.None, View](Carts, "look")
	Clear = sessionproc.MethodOf[sessionproc.None, View](Carts, "clear")

	// Changed is told to every window that shows the cart.
	Changed = sessionproc.EventOf[View](Carts, "changed")
)

// AddItem puts Qty of a tea into the cart, or takes some out if Qty is negative.
type AddItem struct {
	SKU string
	Qty int
}

// View is what is in a cart: how many of each tea.
type View struct {
	Items   map[string]int
	Changes int // that the cart has seen, so that a window can tell which of two is the newer
}

// What a cart refuses. The errors are the same on every replica.
var (
	ErrNoSuchTea = sessionproc.NewError("no_such_tea", "we do not sell that tea")
	ErrTooMany   = sessionproc.NewError("too_many", "not that many of one tea")
)

// maxQty is how much of one tea a cart holds.
const maxQty = 99

// Cart is the state of one session. It is plain data and belongs to the
// session's goroutine: its methods need no locks.
type Cart struct {
	Items   map[string]int
	Changes int
}

// NewCarts returns the kind that a node is given. A second replica keeps a copy of
// each cart: a cart whose replica is killed goes on there, with each change that was
// answered.
func NewCarts() *sessionproc.Kind[Cart, sessionproc.None] {
	k := sessionproc.NewKind(Carts, newCart, sessionproc.KindConfig{IdleTimeout: 30 * time.Minute, Replicas: 1})
	sessionproc.HandleCall(k, Add, (*Cart).add, sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleCall(k, Look, (*Cart).look, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, Clear, (*Cart).clear)
	sessionproc.HandleEvent(k, Changed, (*Cart).view)
	return k
}

func newCart(context.Context, sessionproc.None) (*Cart, error) {
	return &Cart{Items: map[string]int{}}, nil
}

func (c *Cart) add(ctx context.Context, r AddItem) (View, error) {
	if _, ok := teaOf(r.SKU); !ok {
		return View{}, ErrNoSuchTea
	}
	qty := c.Items[r.SKU] + r.Qty
	switch {
	case r.Qty > maxQty || r.Qty < -maxQty || qty > maxQty:
		return View{}, ErrTooMany
	case qty <= 0:
		delete(c.Items, r.SKU)
	default:
		c.Items[r.SKU] = qty
	}
	err := c.changed(ctx)
	return c.view(), err
}

func (c *Cart) look(context.Context, sessionproc.None) (View, error) { return c.view(), nil }

func (c *Cart) clear(ctx context.Context, _ sessionproc.None) (View, error) {
	clear(c.Items)
	err := c.changed(ctx)
	return c.view(), err
}

// changed tells all windows.
func (c *Cart) changed(ctx context.Context) error {
	c.Changes++
	return Changed.Publish(ctx, c.view())
}

func (c *Cart) view() View { return View{c.Items, c.Changes} }
