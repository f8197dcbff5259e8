package memory_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"runtime"
	"strconv"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var Carts = sessionproc.KindOf[sessionproc.None]("cart")

// Cart is a state of the usual size.
type Cart struct {
	UserID string
	Items  map[string]int
}

func newCart(context.Context, sessionproc.None) (*Cart, error) {
	return &Cart{Items: map[string]int{"tea": 1, "oolong": 2, "mate": 3, "rooibos": 4}}, nil
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Measure what a session of your kind takes: start many, and divide.
func Example_measure() {
	ctx := context.Background()
	n, err := node.Start(ctx, node.Config{
		Kinds: []sessionproc.AnyKind{sessionproc.NewKind(Carts, newCart, sessionproc.KindConfig{})},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	const count = 10_000
	before := heap()
	for i := range count {
		if err := Carts.Start(ctx, n, strconv.Itoa(i), sessionproc.None{}); err != nil {
			log.Fatal(err)
		}
	}
	bytes := (heap() - before) / count
	fmt.Println("between 239 bytes and 2 KiB:", bytes > 239 && bytes < 2<<10)
	// Output:
	// between 239 bytes and 2 KiB: true
}

// A node that is full says so, and which limit it was.
func Example_full() {
	ctx := context.Background()
	n, err := node.Start(ctx, node.Config{
		Kinds:       []sessionproc.AnyKind{sessionproc.NewKind(Carts, newCart, sessionproc.KindConfig{})},
		MaxSessions: 1,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	fmt.Println(Carts.Start(ctx, n, "ann", sessionproc.None{}))
	err = Carts.Start(ctx, n, "bob", sessionproc.None{})
	var limit *sessionproc.LimitError
	if errors.As(err, &limit) {
		fmt.Println(limit.Limit, limit.Max, errors.Is(err, sessionproc.ErrTooManySessions))
	}
	// Output:
	// <nil>
	// Config.MaxSessions 1 true
}
