package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Order is what is to be paid. It is the argument of a task, and travels.
type Order struct {
	Key    string // of this payment: what has the same key is charged once
	Number string
	Items  map[string]int
	Cents  int
	Card   string
}

// Receipt is the bank's answer.
type Receipt struct{ Number string }

// ErrDeclined says that the bank has not charged and will not.
var ErrDeclined = sessionproc.NewError("declined", "the bank has declined the payment")

// Bank is a client of the payment API.
type Bank struct {
	URL    string
	Client *http.Client
}

// settle is the work of a task: it takes long, and may run again. So the bank gets a key, and Sell the order.
func (b *Bank) settle(ctx context.Context, o Order) (Receipt, error) {
	receipt, err := b.charge(ctx, o)
	cluster := sessionproc.TaskFromContext(ctx).Cluster()
	for sku, qty := range o.Items {
		if err == nil {
			_, err = Sell.Call(ctx, cluster, stockID(sku), Reservation{Order: o.Number, Qty: qty})
		}
	}
	return receipt, err
}

func (b *Bank) charge(ctx context.Context, o Order) (r Receipt, err error) {
	form := url.Values{"cents": {strconv.Itoa(o.Cents)}, "card": {o.Card}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL, strings.NewReader(form))
	if err != nil {
		return r, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Idempotency-Key", o.Key)
	res, err := b.Client.Do(req)
	if err != nil {
		return r, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return r, json.NewDecoder(res.Body).Decode(&r)
	case http.StatusPaymentRequired:
		return r, ErrDeclined
	}
	return r, fmt.Errorf("the bank says %s", res.Status)
}
