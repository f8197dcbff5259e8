package states_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

const maxRecent = 3

var (
	Carts  = sessionproc.KindOf[sessionproc.None]("cart")
	Add    = sessionproc.MethodOf[string, int](Carts, "add")
	Recent = sessionproc.MethodOf[sessionproc.None, []string](Carts, "recent")
)

// Cart is plain data. bySKU is an index that each node makes for itself.
type Cart struct {
	Items  []string
	Recent []string // the newest ones, at most maxRecent

	bySKU map[string]int `msgpack:"-"`
}

// index is made at its first use, here and wherever the session moves.
func (c *Cart) index() map[string]int {
	if c.bySKU == nil {
		c.bySKU = map[string]int{}
		for _, sku := range c.Items {
			c.bySKU[sku]++
		}
	}
	return c.bySKU
}

func (c *Cart) add(_ context.Context, sku string) (int, error) {
	c.index()[sku]++
	c.Items = append(c.Items, sku)
	c.Recent = append(c.Recent, sku)
	if over := len(c.Recent) - maxRecent; over > 0 {
		c.Recent = slices.Delete(c.Recent, 0, over)
	}
	return c.index()[sku], nil
}

func (c *Cart) recent(context.Context, sessionproc.None) ([]string, error) { return c.Recent, nil }

func newCarts() sessionproc.AnyKind {
	k := sessionproc.NewKind(Carts, func(context.Context, sessionproc.None) (*Cart, error) { return &Cart{}, nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Add, (*Cart).add)
	sessionproc.HandleCall(k, Recent, (*Cart).recent)
	return k
}

// What does not travel is made anew where the session has moved to.
func Example() {
	ctx := context.Background()
	first, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{newCarts()}})
	if err != nil {
		log.Fatal(err)
	}
	if err := Carts.Start(ctx, first, "ann", sessionproc.None{}); err != nil {
		log.Fatal(err)
	}
	for _, sku := range []string{"oolong", "tea", "mate", "tea"} {
		if _, err := Add.Call(ctx, first, "ann", sku); err != nil {
			log.Fatal(err)
		}
	}

	second, err := node.Start(ctx, node.Config{Join: []string{first.Addr()}, Kinds: []sessionproc.AnyKind{newCarts()}})
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()
	if err := first.Leave(ctx); err != nil {
		log.Fatal(err)
	}
	teas, err := Add.Call(ctx, second, "ann", "tea")
	fmt.Println(teas, err)
	recent, err := Recent.Call(ctx, second, "ann", sessionproc.None{})
	fmt.Println(recent, err)
	// Output:
	// 3 <nil>
	// [mate tea tea] <nil>
}

// basket holds what cannot travel.
type basket struct {
	Items []string
	Done  chan struct{}
}

// node.Start refuses a state that would not arrive as it was, and names the field.
func Example_refused() {
	baskets := sessionproc.KindOf[sessionproc.None]("basket")
	k := sessionproc.NewKind(baskets, func(context.Context, sessionproc.None) (*basket, error) { return &basket{}, nil },
		sessionproc.KindConfig{})
	_, err := node.Start(context.Background(), node.Config{Kinds: []sessionproc.AnyKind{k}})
	fmt.Println(strings.Contains(err.Error(), "Done"))
	// Output:
	// true
}
