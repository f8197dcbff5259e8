package sessionproc_test

import (
	"context"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Baskets = sessionproc.KindOf[sessionproc.None]("basket")
	Put     = sessionproc.MethodOf[string, int](Baskets, "put")
)

type basket struct{ Items map[string]int }

func (b *basket) put(_ context.Context, item string) (int, error) {
	b.Items[item]++
	return b.Items[item], nil
}

// merge keeps what is in either: the larger number of each item. It does not add them
// up, as both have those of before the partition.
func (b *basket) merge(_ context.Context, other *basket) error {
	for item, n := range other.Items {
		b.Items[item] = max(b.Items[item], n)
	}
	return nil
}

// Two sides of a network partition have both put something into a basket. When they see
// each other again nothing of it is lost. A hook is a plain method, so a test can call it
// by itself, as here.
func ExampleKind_OnMerge() {
	kind := sessionproc.NewKind(Baskets, func(context.Context, sessionproc.None) (*basket, error) {
		return &basket{Items: map[string]int{}}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(kind, Put, (*basket).put)
	kind.OnMerge((*basket).merge)

	one := &basket{Items: map[string]int{"tea": 2, "cup": 1}}
	other := &basket{Items: map[string]int{"tea": 2, "pot": 1}}
	if err := one.merge(context.Background(), other); err != nil {
		fmt.Println(err)
	}
	fmt.Println(one.Items)
	// Output: map[cup:1 pot:1 tea:2]
}
