package sessionproc_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract, the same in both releases. It stands here twice, as both releases are in
// one program.
var (
	OldBaskets = sessionproc.KindOf[string]("basket")
	Baskets    = sessionproc.KindOf[string]("basket")
	Contents   = sessionproc.MethodOf[sessionproc.None, map[string]int](Baskets, "contents")
	oldContent = sessionproc.MethodOf[sessionproc.None, map[string]int](OldBaskets, "contents")
)

// OldBasket is the state of the earlier release, schema 0: a basket had one item.
type OldBasket struct{ Item string }

func (b *OldBasket) contents(context.Context, sessionproc.None) (map[string]int, error) {
	return map[string]int{b.Item: 1}, nil
}

func oldBaskets() sessionproc.AnyKind {
	k := sessionproc.NewKind(OldBaskets, func(_ context.Context, item string) (*OldBasket, error) {
		return &OldBasket{item}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, oldContent, (*OldBasket).contents)
	return k
}

// Basket is the state of this release, schema 1.
type Basket struct{ Items map[string]int }

func (b *Basket) contents(context.Context, sessionproc.None) (map[string]int, error) {
	return b.Items, nil
}

// migrate makes a state of this schema of one of an earlier schema.
func migrate(_ int, old OldBasket) (*Basket, error) {
	return &Basket{Items: map[string]int{old.Item: 1}}, nil
}

func baskets() sessionproc.AnyKind {
	k := sessionproc.NewKind(Baskets, func(_ context.Context, item string) (*Basket, error) {
		return &Basket{map[string]int{item: 1}}, nil
	}, sessionproc.KindConfig{Schema: 1, Migrate: sessionproc.MigrateFrom(migrate)})
	sessionproc.HandleCall(k, Contents, (*Basket).contents)
	return k
}

// A session of the earlier release moves to a node of this one and is migrated. Nodes of
// the earlier release refuse it from then on.
func ExampleMigrateFrom() {
	ctx := context.Background()
	old, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{oldBaskets()}})
	if err != nil {
		log.Fatal(err)
	}
	if err := OldBaskets.Start(ctx, old, "ann", "tea"); err != nil {
		log.Fatal(err)
	}

	n, err := node.Start(ctx, node.Config{Join: []string{old.Addr()}, Kinds: []sessionproc.AnyKind{baskets()}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := old.Leave(ctx); err != nil {
		log.Fatal(err)
	}
	items, err := Contents.Call(ctx, n, "ann", sessionproc.None{})
	fmt.Println(items, err)
	// Output:
	// map[tea:1] <nil>
}
