package main

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// prices are those of the teas, in cents, by SKU.
var prices = map[string]int{"matcha": 1950, "oolong": 1240, "sencha": 890}

// The contract of a stock: one session for each SKU, which all carts share. It is the only one that changes
// the numbers, so nothing is sold twice and nobody needs a lock.
var (
	Stocks   = sessionproc.KindOf[none]("stock")
	Left     = sessionproc.MethodOf[none, int](Stocks, "left")
	Reserve  = sessionproc.MethodOf[Reservation, int](Stocks, "reserve")
	Sell     = sessionproc.MethodOf[Reservation, int](Stocks, "sell")
	giveBack = sessionproc.NoticeOf[string](Stocks, "give back")
)

// ErrSoldOut says that less is left than wanted.
var ErrSoldOut = sessionproc.NewError("sold_out", "sold out")

// A Reservation holds Qty for an order, in place of what it held before, until a time.
type Reservation struct {
	Order string
	Qty   int
	Until time.Time
}

// Stock is the state.
type Stock struct {
	Left int
	Held map[string]int  // by order
	Sold map[string]bool // orders of the last hour
}

// stockID is the ID of a tea's session. It is the same everywhere, and no cookie can have it.
func stockID(sku string) string { return sessionproc.DeriveID("stock", sku) }

// NewStocks returns the kind; each stock has n at first. A real shop reads that from its database in the start
// function, and writes there what it has sold.
func NewStocks(n int) *sessionproc.Kind[Stock, none] {
	k := sessionproc.NewKind(Stocks, func(context.Context, none) (*Stock, error) {
		return &Stock{n, map[string]int{}, map[string]bool{}}, nil
	}, sessionproc.KindConfig{Replicas: 1, StartOnCall: true, MaxTimers: 10_000}) // a timer for each reservation
	sessionproc.HandleCall(k, Left, (*Stock).left, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, Reserve, (*Stock).reserve)
	sessionproc.HandleCall(k, Sell, (*Stock).sell)
	sessionproc.HandleCast(k, giveBack, (*Stock).giveBack)
	return k
}

func (s *Stock) left(context.Context, none) (int, error) { return s.Left, nil }

func (s *Stock) reserve(ctx context.Context, r Reservation) (int, error) {
	more := r.Qty - s.Held[r.Order]
	if more > s.Left {
		return s.Left, ErrSoldOut
	}
	// A cart may be abandoned, or lost with all its copies. The stock takes back by itself what it gave.
	if err := giveBack.At(ctx, r.Order, r.Until, r.Order); err != nil {
		return s.Left, err
	}
	s.Left, s.Held[r.Order] = s.Left-more, r.Qty
	return s.Left, nil
}

func (s *Stock) giveBack(_ context.Context, order string) error {
	s.Left += s.Held[order]
	delete(s.Held, order)
	delete(s.Sold, order)
	return nil
}

// sell counts an order once. It does not refuse: the buyer has paid. If the reservation has ended, less than
// nothing may be left.
func (s *Stock) sell(ctx context.Context, r Reservation) (int, error) {
	if !s.Sold[r.Order] {
		s.Left -= r.Qty - s.Held[r.Order]
		delete(s.Held, r.Order)
		s.Sold[r.Order] = true
	}
	return s.Left, giveBack.At(ctx, r.Order, time.Now().Add(time.Hour), r.Order)
}
