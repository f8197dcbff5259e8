package sessionproc_test

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
	Withdraw = sessionproc.MethodOf[int, int](Accounts, "withdraw")
)

// Account is the state.
type Account struct{ Balance int }

func (a *Account) withdraw(_ context.Context, n int) (int, error) {
	a.Balance -= n
	return a.Balance, nil
}

// A client does not know whether its request has had an effect, as the answer did not arrive. It sends
// it again with the same key.
func ExampleWithKey() {
	ctx := context.Background()
	k := sessionproc.NewKind(Accounts, func(_ context.Context, n int) (*Account, error) { return &Account{n}, nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Withdraw, (*Account).withdraw)
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{k}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := Accounts.Start(ctx, n, "ann", 100); err != nil {
		log.Fatal(err)
	}
	keyed := sessionproc.WithKey(ctx, "b2f5ff47") // what the client has sent along
	for range 2 {
		balance, err := Withdraw.Call(keyed, n, "ann", 30)
		fmt.Println(balance, err)
	}
	_, err = Withdraw.Call(keyed, n, "ann", 50)
	fmt.Println(errors.Is(err, sessionproc.ErrKeyReused))
	balance, err := Withdraw.Call(sessionproc.WithKey(ctx, "another"), n, "ann", 30)
	fmt.Println(balance, err)
	// Output:
	// 70 <nil>
	// 70 <nil>
	// true
	// 40 <nil>
}
