package mutualcalls_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Accounts = sessionproc.KindOf[int]("account")
	Balance  = sessionproc.MethodOf[sessionproc.None, int](Accounts, "balance")
	Pull     = sessionproc.MethodOf[string, int](Accounts, "pull") // the ID of another account
	Mutual   = sessionproc.MethodOf[string, int](Accounts, "mutual")
	Send     = sessionproc.NoticeOf[Transfer](Accounts, "send")
	Receive  = sessionproc.NoticeOf[Receipt](Accounts, "receive")
	Received = sessionproc.NoticeOf[int](Accounts, "received")
)

// ErrEachOther is what callers get of accounts that wait for each other.
var ErrEachOther = sessionproc.NewError("each_other", "two accounts call each other")

// Transfer sends an amount to another account.
type Transfer struct {
	To     string
	Amount int
}

// Receipt is a Transfer as the other account gets it.
type Receipt struct {
	From   string
	Amount int
}

type Account struct{ Balance, Confirmed int }

func (a *Account) balance(context.Context, sessionproc.None) (int, error) { return a.Balance, nil }

// pull calls the other account, and mutual has that one call back: a cycle.
func (a *Account) pull(ctx context.Context, other string) (int, error) {
	balance, err := Balance.Call(ctx, sessionproc.FromContext(ctx).Cluster(), other, sessionproc.None{})
	if errors.Is(err, sessionproc.ErrCallCycle) {
		return 0, ErrEachOther // a caller of this handler gets other errors as their text
	}
	return balance, err
}

func (a *Account) mutual(ctx context.Context, other string) (int, error) {
	s := sessionproc.FromContext(ctx)
	balance, err := Pull.Call(ctx, s.Cluster(), other, s.ID())
	if errors.Is(err, ErrEachOther) {
		return 0, ErrEachOther
	}
	return balance, err
}

// send waits for nobody: the receipt comes back as a cast.
func (a *Account) send(ctx context.Context, t Transfer) error {
	a.Balance -= t.Amount
	s := sessionproc.FromContext(ctx)
	return Receive.Cast(ctx, s.Cluster(), t.To, Receipt{From: s.ID(), Amount: t.Amount})
}

func (a *Account) receive(ctx context.Context, r Receipt) error {
	a.Balance += r.Amount
	return Received.Cast(ctx, sessionproc.FromContext(ctx).Cluster(), r.From, r.Amount)
}

func (a *Account) received(_ context.Context, amount int) error {
	a.Confirmed += amount
	return nil
}

func newAccounts() *sessionproc.Kind[Account, int] {
	k := sessionproc.NewKind(Accounts, func(_ context.Context, balance int) (*Account, error) {
		return &Account{Balance: balance}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Balance, (*Account).balance)
	sessionproc.HandleCall(k, Pull, (*Account).pull)
	sessionproc.HandleCall(k, Mutual, (*Account).mutual)
	sessionproc.HandleCast(k, Send, (*Account).send)
	sessionproc.HandleCast(k, Receive, (*Account).receive)
	sessionproc.HandleCast(k, Received, (*Account).received)
	return k
}

// A call that comes back to a session that waits for it is refused at once. Casts in
// both directions are not.
func Example() {
	ctx := context.Background()
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{newAccounts()}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	for _, id := range []string{"ann", "bob"} {
		if err := Accounts.Start(ctx, n, id, 100); err != nil {
			log.Fatal(err)
		}
	}

	_, err = Mutual.Call(ctx, n, "ann", "bob")
	fmt.Println("a cycle:", errors.Is(err, ErrEachOther))

	if err := Send.Cast(ctx, n, "ann", Transfer{To: "bob", Amount: 30}); err != nil {
		log.Fatal(err)
	}
	// ann handles this call after the transfer, and bob the next one after the receipt.
	anns, err := Balance.Call(ctx, n, "ann", sessionproc.None{})
	fmt.Println("ann:", anns, err)
	bobs, err := Balance.Call(ctx, n, "bob", sessionproc.None{})
	fmt.Println("bob:", bobs, err)
	// Output:
	// a cycle: true
	// ann: 70 <nil>
	// bob: 130 <nil>
}
