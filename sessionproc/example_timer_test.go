package sessionproc_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// bidding is how long an auction waits for a higher bid.
const bidding = 50 * time.Millisecond

var (
	Auctions = sessionproc.KindOf[sessionproc.None]("auction")
	Offer    = sessionproc.MethodOf[Bid, Bid](Auctions, "offer")
	Hammer   = sessionproc.NoticeOf[sessionproc.None](Auctions, "hammer")
	Sold     = sessionproc.EventOf[Bid](Auctions, "sold")
)

// Bid is what somebody offers.
type Bid struct {
	Name  string
	Price int
}

// Auction is the state.
type Auction struct {
	Highest Bid
	Closed  bool
}

func startAuction(context.Context, sessionproc.None) (*Auction, error) { return &Auction{}, nil }

// offer takes a bid. Setting the timer of that name again puts it off.
func (a *Auction) offer(ctx context.Context, b Bid) (Bid, error) {
	if a.Closed || b.Price <= a.Highest.Price {
		return a.Highest, nil
	}
	a.Highest = b
	return a.Highest, Hammer.AfterNamed(ctx, "hammer", bidding, sessionproc.None{})
}

// hammer is cast by the timer, on whatever node the auction is by then.
func (a *Auction) hammer(ctx context.Context, _ sessionproc.None) error {
	a.Closed = true
	return Sold.Publish(ctx, a.Highest)
}

// A timer sends its session a message. It moves with the session.
func ExampleNotice_AfterNamed() {
	ctx := context.Background()
	k := sessionproc.NewKind(Auctions, startAuction, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Offer, (*Auction).offer)
	sessionproc.HandleCast(k, Hammer, (*Auction).hammer)
	sessionproc.HandleEvent(k, Sold, func(a *Auction) Bid { return a.Highest })
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{k}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := Auctions.Start(ctx, n, "vase", sessionproc.None{}); err != nil {
		log.Fatal(err)
	}
	sub, err := Sold.Subscribe(ctx, n, "vase", sessionproc.SubscribeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	if _, err := sub.Next(ctx); err != nil { // the present value: no bid yet
		log.Fatal(err)
	}

	for _, b := range []Bid{{"ann", 10}, {"bob", 12}} {
		if _, err := Offer.Call(ctx, n, "vase", b); err != nil {
			log.Fatal(err)
		}
	}
	u, err := sub.Next(ctx)
	fmt.Println(u.Value.Name, u.Value.Price, err)
	// Output:
	// bob 12 <nil>
}
