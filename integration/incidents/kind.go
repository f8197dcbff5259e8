package main

import (
	"context"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// cart is a session of the shop that has the incidents.
type cart struct{ Items int }

var (
	carts  = sessionproc.KindOf[sessionproc.None]("cart")
	add    = sessionproc.MethodOf[int, int](carts, "add")
	report = sessionproc.MethodOf[int, int](carts, "report")
)

// migrate has nothing to do: a cart has been the same in all releases.
var migrate = sessionproc.MigrateFrom(func(_ int, old cart) (*cart, error) { return &old, nil })

// newCarts makes the kind as a release of the program has it.
func newCarts(c *replicaConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(carts, func(context.Context, sessionproc.None) (*cart, error) { return new(cart), nil },
		sessionproc.KindConfig{StartOnCall: true, MaxSessions: c.MaxSessions, SlowHandler: 500 * time.Millisecond,
			Schema: c.Schema, Migrate: migrate})
	sessionproc.HandleCall(k, add, func(s *cart, _ context.Context, n int) (int, error) {
		if c.Slow {
			askTheWarehouse()
		}
		s.Items += n
		return s.Items, nil
	})
	sessionproc.HandleCall(k, report, func(s *cart, _ context.Context, _ int) (int, error) {
		waitForTheLedger()
		return s.Items, nil
	})
	if c.Schema > 1 {
		discount := sessionproc.MethodOf[int, int](carts, "discount")
		sessionproc.HandleCall(k, discount, func(s *cart, _ context.Context, _ int) (int, error) { return s.Items, nil })
	}
	return k
}

// askTheWarehouse is what a release does too often.
func askTheWarehouse() { time.Sleep(1200 * time.Millisecond) }

var ledger sync.Mutex

// waitForTheLedger waits for a lock that somebody has not given back.
func waitForTheLedger() {
	ledger.Lock()
	ledger.Lock() // which is the fault
}
